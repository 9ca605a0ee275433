"""How to reach Kafka: one set of variables (prefix MILLRACE_KAFKA_) for whoever reads or writes it."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from millrace_worker.errors import SettingsInvalid


class KafkaSettings(BaseSettings):
    """Where Kafka is and how to prove who asks. No bootstrap servers: this process has no Kafka."""

    model_config = SettingsConfigDict(env_prefix="MILLRACE_KAFKA_", frozen=True, hide_input_in_errors=True)

    bootstrap_servers: str = Field(default="", description="host:9092,host:9092; empty where there is no Kafka.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str = Field(default="", description="Needed with SASL.")
    sasl_password: SecretStr = Field(default=SecretStr(""), description="Needed with SASL.")
    ca_file: Path | None = Field(default=None, description="PEM file of the CA, where it is not a public one.")

    @model_validator(mode="after")
    def _sasl_has_a_user(self) -> Self:
        if self.security_protocol.startswith("SASL") and not (self.sasl_username and self.sasl_password):
            raise ValueError(f"SASL_USERNAME and SASL_PASSWORD are needed with {self.security_protocol}")
        return self

    @property
    def is_configured(self) -> bool:
        """Say whether this process has a Kafka at all."""
        return bool(self.bootstrap_servers)

    def client_config(self) -> dict[str, str | int | float | bool]:
        """Answer what librdkafka needs to connect. It holds the password: never log it."""
        config: dict[str, str | int | float | bool] = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
            # Without this a broker's new address stays unknown for as long as the old one is tried.
            "socket.keepalive.enable": True,
            "reconnect.backoff.max.ms": 2000,
            # As Kafka's own clients: what a pod that is being replaced swallowed is answered by nobody.
            "socket.connection.setup.timeout.ms": 10_000,
        }
        if self.security_protocol.startswith("SASL"):
            config |= {
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.sasl_username,
                "sasl.password": self.sasl_password.get_secret_value(),
            }
        if self.security_protocol.endswith("SSL") and self.ca_file:
            config["ssl.ca.location"] = str(self.ca_file)
        return config


def read_kafka_settings() -> KafkaSettings:
    """Read the environment, or say which variable is missing or wrong without showing any value."""
    try:
        return KafkaSettings()
    except ValidationError as error:
        problems = "; ".join(
            f"MILLRACE_KAFKA_{'_'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}".replace(
                "_:", ":"
            )
            for problem in error.errors(include_input=False, include_url=False)
        )
        # The cause holds the values, the password among them, so it is left out on purpose.
        raise SettingsInvalid(f"the Kafka settings of this process are not usable: {problems}") from None
