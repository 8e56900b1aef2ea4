"""The composition root: what a job's pipeline works with, built once per process."""

from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING
from uuid import UUID

from db.fence import Fence
from db.jobs import Claimed
from db.pool import Pool, connect
from db.waits import Waited
from pipelines.errors import Permanent
from pipelines.sealing import Keyring, parse_keys
from workers import uploads
from workers.config import LOCAL, Config
from workers.jobs import KINDS
from workers.outcome import burnt_attempts
from workers.providers import WatchedChat, WatchedEmbedder, model_label

if TYPE_CHECKING:
    from pipelines.deliver_webhook import Desk
    from pipelines.email.address import Address
    from pipelines.email.links import Links
    from pipelines.gateways.embedder import Embedder
    from pipelines.gateways.gate import Claims, Gate
    from pipelines.gateways.http import Client
    from pipelines.gateways.mail import Transport
    from pipelines.gateways.polite import PoliteClient
    from pipelines.gateways.storage import Storage
    from pipelines.knowledge.sandbox import Parser
    from pipelines.readers.tools import ReadingTools
    from pipelines.sentiment.verdict import SentimentJudge
    from pipelines.vault import Vault


class Toolbox:
    """Builds the heavy tools when a job first asks for them: a start stays quick."""

    def __init__(
        self,
        config: Config,
        pool: Pool,
        *,
        cancelled: Callable[[], Set[tuple[int, int]]] = frozenset,
    ) -> None:
        self.config = config
        self.pool = pool
        self.cancelled = cancelled

    @cached_property
    def client(self) -> "Client":
        from pipelines.gateways.addresses import Egress
        from pipelines.gateways.http import Client

        return Client(Egress.parse(self.config.egress_allow))

    @cached_property
    def parser(self) -> "Parser":
        from pipelines.knowledge.sandbox import Parser

        return Parser()

    @cached_property
    def vault(self) -> "Vault":
        from pipelines.vault import Vault

        return Vault(Keyring(parse_keys(self.config.credentials_key)))

    @cached_property
    def storage(self) -> "Storage | None":
        from pipelines.gateways.storage import Storage

        url, key = self.config.supabase_url, self.config.supabase_service_role_key
        return None if url is None else Storage(url, key)

    @cached_property
    def deliveries(self) -> "Desk":
        """Two writers with a connection each, however many deliveries are under way."""
        from pipelines.deliver_webhook import open_desk

        assert self.config.database_url is not None
        return open_desk(
            partial(connect, self.config.database_url, autocommit=True, name="avivro deliveries"),
            self.client,
            schedule_s=self.config.webhook_retry_schedule_s,
            timeout_s=self.config.webhook_timeout_s,
        )

    @cached_property
    def mail(self) -> "Transport":
        from pipelines.gateways.mail import read_route
        from pipelines.gateways.mail_transports import open_transport

        return open_transport(read_route(self.config.email_url, home=self.config.home))

    @cached_property
    def sender(self) -> "Address":
        from pipelines.email.address import parse_address

        return parse_address(self.config.email_from)

    @cached_property
    def links(self) -> "Links | None":
        """None where nobody set where the internet reaches us, or what signs."""
        from pipelines.email.keys import parse_keys
        from pipelines.email.links import Links

        url, keys = self.config.public_url, self.config.link_signing_key
        return Links(url, parse_keys(keys)) if url and keys else None

    @cached_property
    def sentiment_judge(self) -> "SentimentJudge":
        return sentiment_judge(self.config)

    def for_job(self, job: Claimed) -> "Tools":
        return Tools(
            db=Fence(
                self.pool,
                job.id,
                job.attempt,
                lambda: (job.id, job.attempt) in self.cancelled(),
            ),
            try_number=burnt_attempts(job, KINDS[job.kind].retry),
            box=self,
            waited=Waited(**(job.waited or {})),
            tenant=job.tenant,
        )


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools of one attempt. `try_number` counts from 1 and skips spared attempts.

    `waited` says how the jobs ended that a callback or a step waited for.
    """

    db: Fence
    try_number: int
    box: Toolbox
    waited: Waited
    tenant: UUID | None = None

    @property
    def polite(self) -> "PoliteClient":
        from pipelines.gateways.polite import PoliteClient

        return PoliteClient(self.box.client, self.db, self.tenant)

    @property
    def reading(self) -> "ReadingTools":
        from pipelines.readers.tools import ReadingTools

        return ReadingTools(
            db=self.db,
            client=self.polite,
            parser=self.box.parser,
            files=self.box.config.home / uploads.FOLDER,
            vault=self.box.vault,
            storage=self.box.storage,
            direct=self.box.client,
        )

    @property
    def sentiment_judge(self) -> "SentimentJudge":
        return self.box.sentiment_judge

    @property
    def local_judge(self) -> "SentimentJudge":
        return local_judge()

    def embedder_for(self, model: str | None) -> "Embedder":
        return embedder_for(self.box.config, model)


def embedder_for(
    config: Config, model: str | None, *, timeout_s: float | None = None
) -> "Embedder":
    """The embedder of the model that an agent uses already; of the configured one if None.

    Raises Permanent when that model cannot be reached from here.
    """
    from pipelines.gateways.local_embedder import LOCAL_MODEL

    if (model or config.embedding_model) in (LOCAL_MODEL, "local"):
        return local_embedder()
    if config.openai_api_key is None:
        raise Permanent(
            f"this agent's knowledge is embedded with {model}, which needs OPENAI_API_KEY"
        )
    return openai_embedder(config, model or config.embedding_model, timeout_s)


@cache
def local_embedder() -> "Embedder":
    from pipelines.gateways.local_embedder import LocalEmbedder

    embedder = LocalEmbedder()
    return WatchedEmbedder(embedder, provider="local", label=embedder.model)


@cache
def openai_embedder(config: Config, model: str, timeout_s: float | None = None) -> "Embedder":
    from pipelines.gateways.openai import NATIVE_DIMENSIONS, REQUEST_TIMEOUT_S, OpenAIEmbedder

    assert config.openai_api_key is not None
    gate, claims = shared_rate(config, model)
    embedder = OpenAIEmbedder(
        timeout_s=timeout_s or REQUEST_TIMEOUT_S,
        model=model,
        api_key=config.openai_api_key,
        base_url=config.openai_base_url,
        transfer="float" if config.embedding_transfer == "float" else "base64",
        gate=gate,
        claims=claims,
    )
    label = model_label(model, known=[config.embedding_model, *NATIVE_DIMENSIONS])
    return WatchedEmbedder(embedder, provider="openai", label=label)


def sentiment_judge(config: Config) -> "SentimentJudge":
    """A chat model where one is configured, which needs a key; else the local judge."""
    if config.sentiment_model == LOCAL or config.openrouter_api_key is None:
        return local_judge()
    from pipelines.gateways.chat import ChatClient
    from pipelines.sentiment.chat_judge import ChatJudge
    from pipelines.sentiment.local_judge import LocalJudge

    chat = ChatClient(
        api_key=config.openrouter_api_key,
        model=config.sentiment_model,
        base_url=config.openrouter_base_url,
    )
    return ChatJudge(WatchedChat(chat, provider="openrouter"), LocalJudge())


@cache
def local_judge() -> "SentimentJudge":
    from pipelines.sentiment.local_judge import LocalJudge
    from pipelines.sentiment.verdict import LocalOnly

    return LocalOnly(LocalJudge())


def shared_rate(config: Config, model: str) -> "tuple[Gate, Claims]":
    """What all workers share of a provider's model; without Redis there is nobody to share with."""
    from pipelines.gateways import throttle
    from pipelines.gateways.claims import RedisClaims
    from pipelines.gateways.gate import NO_CLAIMS, OPEN_GATE, Bounds

    if config.redis_url is None:
        return OPEN_GATE, NO_CLAIMS
    assert config.openai_api_key is not None
    client = throttle.connect(config.redis_url)
    provider = throttle.provider_name(config.openai_base_url, model, config.openai_api_key)
    own = Bounds(config.embedding_tpm, config.embedding_rpm)
    return throttle.Throttle(client, provider=provider, own=own), RedisClaims(client, model=model)
