"""Panels for notebooks: shells over runs, launch and plots, made of ipywidgets' own parts alone."""

try:
    import ipywidgets as _ipywidgets  # noqa: F401
except ModuleNotFoundError as error:
    from fpnkit.errors import UserError

    raise UserError("fpnkit.widgets: required ipywidgets, found none; pip install 'fpnkit[notebooks]'") from error
