"""What a message is about: a fixed list of topics, each told by beginnings of words."""

import re

from pipelines.sentiment.judgement import TOPICS_MAX

_STARTS = {
    "billing": "invoice|billing|billed|bill|charged|charge|receipt|vat|credit card|rechnung"
    "|abgebucht"
    "|factura|cobr|facture|débité|fattura|addebit|fatura",
    "payment": "pay|paid|payment|card declined|bank transfer|paypal|zahl|bezahl|pago|pagar|paiement"
    "|payer|pagamento|pagare",
    "refund": "refund|money back|reimburs|chargeback|erstattung|geld zurück|reembols|devoluci"
    "|rembours|rimbors|dinero de vuelta|dinheiro de volta",
    "cancellation": "cancel|unsubscribe|terminate|kündig|stornier|annul|cancelar|disdett|résili",
    "delivery": "deliver|shipping|shipment|ship|parcel|package|courier|tracking|liefer|paket"
    "|versand"
    "|envío|paquete|entrega|livraison|colis|spedizion|pacco|encomenda",
    "order": "order|purchase|bought|bestell|pedido|commande|ordine",
    "returns": "return label|return the|return it|exchange|warranty|wrong size|zurückschick"
    "|umtausch"
    "|garantie|garantía|reso|devolver|retour",
    "account": "log in|login|log me|logged|sign in|sign up|signed up|password|account|locked"
    "|username"
    "|verification code|two factor|2fa|passwort|konto|anmeld|contraseña|cuenta|mot de passe"
    "|compte|senha|conta|accesso",
    "bug": "bug|error|crash|broken|does not work|doesn't work|not working|stopped working|freez"
    "|does nothing|nothing happens|keeps loading|won't load|won't open|blank|glitch|funktioniert"
    "|fehler|no funciona|ne marche|ne fonctionne|non funziona|não funciona|kaputt|still broken",
    "pricing": "price|pricing|cost|expensive|cheap|discount|coupon|how much|plan|subscription|trial"
    "|upgrade|preis|kostet|teuer|precio|cuesta|prix|combien|prezzo|costa|preço|quanto",
    "feature request": "feature|would be nice|would be useful|would be good|could you add"
    "|can you add"
    "|please add|dark mode|wish there|suggestion|integrat",
    "support": "support|customer service|helpdesk|agent|manager|human|real person|call back"
    "|callback"
    "|answer|reply|respond|kundendienst|antwort|respuesta|contest|réponse|risposta|resposta",
    "waiting": "waiting|wait|still no|still nothing|hours|weeks|on hold|late|warte|esperando"
    "|attends"
    "|aspett|espera",
    "privacy": "gdpr|privacy|personal data|delete my data|data protection|my data|datenschutz"
    "|privacidad|confidentialité",
    "appointment": "appointment|booking|book a|reservation|reserve|reschedul|termin|cita"
    "|rendez-vous"
    "|prenota|consulta",
    "quality": "quality|damaged|defect|scratch|torn|dirty|cold food|poor material|qualität|calidad"
    "|qualité|qualità|qualidade",
    "usability": "confusing|complicated|easy to use|intuitive|interface|layout|design"
    "|user friendly",
    "praise": "love|great|excellent|amazing|awesome|perfect|fantastic|wonderful|brilliant|recommend"
    "|well done|best|impressed",
    "thanks": "thank|thx|cheers|danke|gracias|merci|grazie|obrigad",
}
TOPICS = tuple(_STARTS)
_PATTERNS = {topic: re.compile(rf"\b(?:{starts})") for topic, starts in _STARTS.items()}
# Said in passing in messages about anything: named last, praise only where nobody complains.
_PASSING = frozenset({"praise", "thanks", "waiting", "support"})


def find_topics(normalised: str, *, is_negative: bool) -> tuple[str, ...]:
    """The topics a text names most, at most TOPICS_MAX, the plainest first."""
    counts = {
        topic: len(pattern.findall(normalised))
        for topic, pattern in _PATTERNS.items()
        if not (is_negative and topic in {"praise", "thanks"})
    }
    found = [topic for topic, count in counts.items() if count]
    found.sort(key=lambda topic: (topic in _PASSING, -counts[topic]))
    return tuple(found[:TOPICS_MAX])
