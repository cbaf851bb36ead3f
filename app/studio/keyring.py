"""Keeps keys at rest: encrypted with a file beside the database, never in it."""

import os
import secrets
import stat
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from pydantic import SecretStr

from components.errors import ConfigError


class Keyring:
    """Seals keys with `secret.key` in the home folder, which is made when the first key is sealed."""

    def __init__(self, home: Path) -> None:
        self.path = home / "secret.key"
        self._fernet: Fernet | None = None

    def seal(self, key: SecretStr) -> bytes:
        """The key as it may be stored. Raises: ConfigError when the key file cannot be made or read."""
        return self._box(make=True).encrypt(key.get_secret_value().encode())

    def unseal(self, sealed: bytes) -> SecretStr | None:
        """The key; None when the key file is gone or another one, so that it has to be entered again."""
        if not self.path.exists() and self._fernet is None:
            return None
        try:
            return SecretStr(self._box(make=False).decrypt(sealed).decode())
        except InvalidToken:
            return None

    def _box(self, *, make: bool) -> Fernet:
        if self._fernet is None:
            if make and not self.path.exists():
                self._make()
            try:
                os.chmod(self.path, stat.S_IRUSR | stat.S_IWUSR)
                self._fernet = Fernet(self.path.read_bytes().strip())
            except OSError as error:
                raise ConfigError(f"The key file {self.path} cannot be read: {error.strerror}.") from None
            except ValueError:
                raise ConfigError(
                    f"{self.path} is not a key file. Move it away and enter the keys again, or put the right one back."
                ) from None
        return self._fernet

    def _make(self) -> None:
        # Linked into place once it is whole: another process never reads half of it, and never gets its own instead.
        part = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(Fernet.generate_key())
                file.flush()
                os.fsync(file.fileno())
            os.link(part, self.path)
        except FileExistsError:
            pass
        except OSError as error:
            raise ConfigError(f"The key file {self.path} cannot be made: {error.strerror}.") from None
        finally:
            part.unlink(missing_ok=True)
