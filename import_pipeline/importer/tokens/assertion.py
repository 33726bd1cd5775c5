"""Signed assertions for token requests (RFC 7523), by PyJWT. It is imported at its first use, since few need it."""

from datetime import datetime, timedelta
from uuid import uuid4

from import_pipeline.contracts import JwtBearer
from import_pipeline.errors import SettingError
from import_pipeline.redaction import HIDDEN

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def check_key(name: str, grant: JwtBearer) -> None:
    """Raise SettingError for an unknown algorithm, or a key that cannot sign with it."""
    import jwt

    asymmetric = sorted(each for each in jwt.algorithms.get_default_algorithms() if each[:2] in {"RS", "PS", "ES"})
    if grant.algorithm not in asymmetric:
        raise SettingError(
            name.replace("private_key", "algorithm"), f"one of {', '.join(asymmetric)}", repr(grant.algorithm)
        )
    try:
        signed(grant, "https://login.test/token", datetime.fromtimestamp(0).astimezone())
    except (ValueError, TypeError, jwt.PyJWTError) as error:
        expected = f"a private key as PEM text, for {grant.algorithm}"
        raise SettingError(name, expected, HIDDEN) from error


def signed(grant: JwtBearer, token_url: str, now: datetime) -> str:
    """Return the assertion: claims that are valid from now on for the grant's lifetime."""
    import jwt

    claims = {
        "iss": grant.issuer,
        "aud": grant.audience or token_url,
        "iat": int(now.timestamp()),
        "exp": int((now + timedelta(seconds=grant.lifetime)).timestamp()),
        "jti": uuid4().hex,
    }
    claims |= {"sub": grant.subject} if grant.subject else {}
    claims |= {"scope": grant.scope} if grant.scope else {}
    key = grant.private_key.replace("\\n", "\n")  # as environment files hold it
    headers = {"kid": grant.key_id} if grant.key_id else None
    return jwt.encode(claims | dict(grant.claims), key, algorithm=grant.algorithm, headers=headers)
