"""Text is escaped exactly once on its way into a page."""

from fpnkit.foundation.html import Html, element, join, pairs, table

EVIL = '<i>&"'


def test_text_is_escaped_and_markup_is_not() -> None:
    inner = element("b", EVIL)
    assert inner == "<b>&lt;i&gt;&amp;&quot;</b>"
    assert element("p", inner, EVIL, title=EVIL) == (
        '<p title="&lt;i&gt;&amp;&quot;"><b>&lt;i&gt;&amp;&quot;</b>&lt;i&gt;&amp;&quot;</p>'
    )
    assert join([inner, "<"], ", ") == f"{inner}, &lt;"


def test_what_is_put_together_with_plain_strings_is_text_again() -> None:
    assert not isinstance(element("b") + "<i>", Html)
    assert element("p", element("b") + "<i>") == "<p>&lt;b&gt;&lt;/b&gt;&lt;i&gt;</p>"


def test_attributes_may_stand_alone_or_be_left_out_but_an_image_always_has_its_words() -> None:
    assert element("details", open=True, class_="x", style="") == '<details open class="x"></details>'
    assert element("details", open=False) == "<details></details>"
    assert element("img", alt="", src="a.png") == '<img alt="" src="a.png">'


def test_a_table_has_only_the_parts_it_was_given() -> None:
    assert table([pairs([("a", "<")])]) == "<table><tbody><tr><th>a</th><td>&lt;</td></tr></tbody></table>"
    full = table([pairs([("a", "b")], "td")], [element("th", "h")], element("caption", "c"), style="color:red")
    assert full == (
        '<table style="color:red"><caption>c</caption><thead><tr><th>h</th></tr></thead>'
        "<tbody><tr><td>a</td><td>b</td></tr></tbody></table>"
    )
