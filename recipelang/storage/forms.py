"""What is read back from files is a strict model that names the field which is wrong; here is what they share."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]
Some = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
#: empty where there is none
MaybeDigest = Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")]


def known(*names: str) -> AfterValidator:
    """Only these names."""

    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"`{name[:80]}` is not one of {', '.join(f'`{n}`' for n in names)}")
        return name

    return AfterValidator(check)


class Form(BaseModel):
    """Of a file that only we write: a field more is as wrong as one of another type."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", ser_json_inf_nan="strings")


class OpenForm(BaseModel):
    """Of a file that others, or later releases, may say more in: what we do not know is kept as it is."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow", allow_inf_nan=False)
