"""Reads what a page's form sends. Other sites' forms are refused, and bodies bounded, before they come here."""

from fastapi import Request

from scriptfleet.results.access.cross_site import form_of

Form = dict[str, str]


async def read_form(request: Request) -> Form:
    """Give the fields of a form; nothing of what is no form."""
    # Of a dependency that is not async the body could not be read.
    return form_of(await request.body())
