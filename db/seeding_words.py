"""What seeded people say and are called."""

from random import Random

TOPICS = (
    "my invoice", "the refund", "two-factor sign-in", "the Shopify integration", "an export",
    "the mobile app", "our team plan", "the API limit", "a password reset", "the delivery date",
    "the annual discount", "a webhook", "the chat widget", "GDPR", "the trial", "a broken link",
)  # fmt: skip
QUESTIONS = (
    "Hi, I have a question about {}.", "How do I change {}?", "Where can I find {}?",
    "I am stuck with {} and it is really frustrating.", "Is {} included in the starter plan?",
    "Great, thanks! One more thing about {}: does it work on Safari?", "{} does not work for me.",
    "Can I talk to a human about {}?", "That solved {}, thank you so much!",
    "I was charged twice because of {}. This is unacceptable.", "What does {} cost per month?",
    "Could you send me the documentation of {}?",
)  # fmt: skip
ANSWERS = (
    "Happy to help with {}. Could you tell me the e-mail address of your account?",
    "You find {} under Settings, in the second tab. Save when you are done.",
    "I am sorry about the trouble with {}. I have opened a ticket, and a colleague will write to "
    "you within one working day.",
    "Yes, {} is part of every plan, the free one included.",
    "Thank you for waiting. I looked at {}: everything is in order on our side now.",
    "For {} three steps are needed: open the dashboard, choose your agent, and press Publish. "
    "The change is live at once; browsers may show the old state for up to five minutes.",
    "That depends on {}: with up to 1,000 messages a month nothing changes, above that we bill "
    "each further thousand.",
    "Here is the page about {}: https://docs.example.com/help",
)  # fmt: skip
FIRST_NAMES = ("Ada", "Ben", "Chloe", "Deniz", "Emre", "Fatima", "Grace", "Hiro", "Ines", "Jonas",
               "Kemal", "Lucía", "Mehmet", "Noor", "Olga", "Paweł")  # fmt: skip
LAST_NAMES = ("Smith", "Yılmaz", "García", "Müller", "Kaya", "Rossi", "Novák", "Demir", "Okafor",
              "Tanaka", "Silva", "Dubois")  # fmt: skip
COMPANIES = ("Acme Inc", "Northwind", "Globex", "Initech", "Umbrella Health", "Hooli", "Stark Ltd")
CITIES = ("Berlin, DE", "İstanbul, TR", "Austin, US", "Lyon, FR", "Porto, PT", "Osaka, JP")
ROLES = ("Support", "Sales", "Onboarding", "Billing", "Returns", "Booking")

TEXTS = 1_500
CHARS_PER_TOKEN = 4


def phrases(random: Random, patterns: tuple[str, ...]) -> list[tuple[str, int]]:
    """(text, tokens) of up to three sentences each, to draw from."""
    return [phrase(random, patterns) for _ in range(TEXTS)]


def phrase(random: Random, patterns: tuple[str, ...]) -> tuple[str, int]:
    chosen = random.sample(patterns, k=random.choice((1, 1, 1, 2, 3)))
    text = " ".join(sentence(pattern, random.choice(TOPICS)) for pattern in chosen)
    return text, 1 + len(text) // CHARS_PER_TOKEN


def sentence(pattern: str, topic: str) -> str:
    text = pattern.format(topic)
    return text[0].upper() + text[1:]


def person(random: Random) -> str:
    return f"{random.choice(FIRST_NAMES)} {random.choice(LAST_NAMES)}"
