"""Tells messages that may be meant for a model rather than for a person.

Such a message never shares a call with others. It catches more than it has to: what it catches is
judged by the local judge, which follows no instructions.
"""

import re

from pipelines.sentiment.chat_disguise import fold, hides_text, list_readings, mixes_scripts

# How far apart two words may stand and still speak of each other.
_NEAR = r".{0,80}?"

_OVERRIDES = (
    r"\b(?:ignor|disregard|forget|overrid|overrul|overwrit|bypass|supersed|neglect|overlook|discard"
    r"|do not (?:follow|obey|listen|rate|judge|read)|don'?t (?:follow|obey|listen|rate|judge|read)"
    r"|stop (?:follow|rating|judg|read)|never ?mind|instead of|from now on|new (?:task|rule|order)"
    r"|pretend|act as|role ?play|simulat|imagine you|assume|suppose that|cancel)\w{0,6}"
)
_MEANT = (
    r"\b(?:instruct\w*|prompts?|rules?|guidelines?|commands?|directives?|orders?|contexts?|schemas?"
    r"|messages?|texts?|comments?|reviews?|inputs?|everything|everyone|anything|above|previous"
    r"|prior|earlier|preceding|following|below|others?|told|said|system|training|polic\w*"
    r"|rat(?:e|ing)|judg\w*|scor\w*|content|customers?|visitors?|users?|before|after)\b"
)
# What a judge can be told to do, where a sentence tells somebody to.
_ORDERS = (
    r"(?:^|[.!?:;,)\n]\s?|\b(?:please|kindly|must|should|shall|to|and|then|now|just|also|you|they|ai"
    r"|robot|bot|model|always|only|gets?|deserves?|are|is)\s)"
    r"(?:rat(?:e|ed)|scor(?:e|ed)|mark(?:ed)?|judged?|label\w*|classif\w*|treat(?:ed)?"
    r"|consider(?:ed)?|set|give|assign|output|answer|print|list|reveal|return|omit|skip|leave out"
    r"|overwrite|copy|use|produce|translate|repeat|swap|switch|exchange|invert|flip|zero|count"
    r"|regard|assume|say|make|be|go|grade|evaluate|assess|tag|report|describe|interpret|respond"
    r"|reply|write|call|change|replace|reverse|multiply|double|lower|raise|increase|decrease"
    r"|downgrade|upgrade|top|full|best|maximum|lowest|highest)\b"
)
_FEELINGS = (
    r"\b(?:happy|unhappy|angry|furious|thrilled|delighted|satisfied|dissatisfied|joy\w*|sad\w*"
    r"|anger|hate\w*|hateful|love\w*|lying|liars?|jok(?:e|es|ing)|sarcas\w*|ironic\w*|spam|drunk"
    r"|enthusiastic|pleased|grateful|upset|mad|good|bad|great|excellent|terrible|awful|fake|tests?"
    r"|complain\w*|calm|kind|harsh|lenient|easy|hard|negative|positive|neutral|low|high|zeros?)\b"
)
# Who shares a call with the one who writes; a support chat has no others.
_TEXTS = (
    r"(?:messages?|texts?|items?|entr(?:y|ies)|comments?|reviews?|inputs?|rows?|records?|results?"
    r"|tickets?|elements?|sentences?|statements?|utterances?|users?|customers?|visitors?|people"
    r"|conversations?|chats?|posts?|submissions?|feedbacks?|answers?|scores?|ones?|two|three)\b"
)
_OTHERS = (
    r"(?:\b(?:everyone|everybody|others|neighbou?rs?|the rest|zero out|all of (?:them|these|those)"
    r"|all zeros?|whoever|anyone else|everyone else|to all|for all|all to|the other)\b"
    r"|\b(?:all|every|each|any|other|remaining|previous|prior|preceding|next|following|subsequent"
    r"|first|second|third|last|both|these|those|neighbou?ring|adjacent|\d{1,4}(?:st|nd|rd|th))\s"
    r"(?:of (?:the |these |those |my |our )?)?(?:\w{1,20} )?"
    + _TEXTS
    + r"|\b"
    + _TEXTS
    + r"\s(?:that |which |who )?(?:is |are |was |comes? |stands? |follows? )?"
    r"(?:before|after|above|below|behind|ahead|next|follow|preced|with|about|from|containing|mentioning|saying)"
    r"|\b(?:before|after|above|below|behind|beneath|following) (?:me|mine|this|us|it|that|my)\b"
    r"|\beverything (?:else|here|above|below|before|after|around)\b"
    r"|\b(?:make|set|call|rate|mark|score) (?:everything|all|them|every)\b)"
)

_SIGNS = [
    re.compile(pattern, re.S | re.M)
    for pattern in (
        # Words of the trade, which visitors of a support chat have no use for.
        r"\b(?:sentiment\w*|json\w*|schema\w*|scor(?:e|es|ed|ing)|ratings?|classif\w*|labels)\b",
        r"\b(?:positiv|negativ|neutral|pozitiv|pozitywn|negatywn|positief|negatief)\w*",
        r"\b(?:instruct\w*|directives?|jail ?break\w*|overrid\w*|injection|sudo|prompts?|ids"
        r"|evaluat\w*|grader\w*|grading|annotat\w*|lenien\w*|datasets?|payload)\b",
        r"\b(?:ai|llms?|gpt\w*|chatgpt|claude|gemini|neural\w*|assistant|robot|machine|model)\b"
        rf"{_NEAR}\b(?:must|should|rate|give|say|think|read|note|attention|skip|kind|nice)\b",
        r"\b(?:you|u) (?:are|r|act as|will be|become) (?:now |a |an |the |no longer ){0,2}"
        r"(?:ai|bot|model|judge|assistant|rater|system|machine|robot|classifier|language)\b",
        r"\byou (?:are|were|re) (?:now|no longer)\b|\blanguage model"
        r"|\bhidden (?:rules?|text|prompt)"
        r"|\battention:? (?:all )?(?:ai|models?|judges?|bots?|systems?|assistants?|raters?)\b",
        r"\b(?:note|message|memo|hint|order|word|request|ps)s? (?:to|for) (?:the |an? |any )?"
        r"(?:ai|model|judge|system|rater|reader|machine|analy[sz]er|evaluator|bot|whoever)\b",
        r"\b(?:developer|debug|admin\w*|root|maintenance|god|dan|test|safe|emergency) "
        r"(?:mode|access|override|command|prompt|protocol)\b|\bprotocol\b",
        r"\bwhoever (?:is |may be )?(?:read|rat|judg|evaluat|see)\w*|\bopposite day\b",
        r"\b(?:new|next|current|your) tasks?\b|\btasks? (?:complete|finished|over|done|ended)\b",
        r"\byou (?:must|shall|should|will|have to|need to|ought to) (?:now |always |only |just )?"
        r"(?:rate|score|judge|mark|label|output|say|answer|write|print|return|produce|give|treat)\b",
        r"\b(?:empty|blank|valid) (?:list|array|object|string|answer|json)"
        r"|\b(?:this|the|whole|entire|same) (?:batch|array)\b"
        r"|\badd (?:a |an |the )?(?:new |extra )?(?:field|key|property|entry|element|attribute)",
        # What stands around others' words in a prompt.
        r"<\|?/?\s?(?:system|assistant|user|human|im_|end|start|instruct|prompt|message|text|data"
        r"|input|output|json|s>|sys|xml|context|begin|eot|doc)",
        r"\[/?(?:inst|system|assistant|user|end|start|data|messages?|input)\b|<<\s?/?sys",
        r"^[^\w\n]{0,8}(?:system|assistant|developer|human|user|ai|bot|model|judge|admin|operator)"
        r"(?: (?:message|prompt|note|override|update|notice))?\s?[:>\])=]",
        r"(?:system|assistant|developer)\s?(?:message|prompt|note|override|update|notice|role)\b",
        r"\brole\s?[:=]|[@/%#\[{(<*|]\s?system\b",
        r"[#=*~-]{2}\s?(?:[a-z]{1,20} ){0,3}(?:system|instruct|respon|assistant|user|message|end"
        r"|begin|start|new|input|output|prompt|data|task)",
        r"\b(?:begin|end|start|close) (?:of )?(?:the )?(?:messages?|data|input|texts?|prompt|list"
        r"|document|batch|conversation|transcript)\b",
        r"```|~~~|\{\s?[\"'\w]|[\"'\w]\s?\}|\}\s?,|\]\s?\}|\[\s?\{|\\n|\\\"",
        r"[\"']\s?(?:id|role|content|text|label|confidence|emotions?|topics?|keywords?|messages"
        r"|judgements?|results?|data|value)\s?[\"']",
        r"\b(?:my id|id|confidence|emotions?|keywords?|topics?)\s?(?:[:=]|to|is|are)\s?"
        r"[\"'\d\[{-]|\bmy id is\b",
        # Figures of the scale, and feelings by order.
        r"\b(?:anger|disgust|fear|joy|sadness|surprise|confidence)\s?(?:[:=]|to\b|becomes?\b)",
        rf"{_FEELINGS}\s?(?:=|means?\b|equals?\b|becomes?\b|stands for\b|is now\b)",
        r"(?<![\w.,/])[-+]?[01][.,]0{1,9}(?![\w.,]|\s?(?:usd|eur|gb|mb|kg|version))",
        r"(?<![\w.,/+-])[-+]1(?![\w.,]|[\s-]?[\d(])|\b(?:minus|plus|negative) (?:one|1)\b",
        r"\b(?:maximum|max|minimum|highest|lowest|top|best|worst|full|perfect) (?:possible )?"
        r"(?:values?|marks?|points?|grades?|numbers?)\b|\b\d{1,3} ?/ ?\d{1,3} (?:to|for) ",
        r"\b(?:invert|revers|flip|mirror|negat)\w*\b.{0,60}?\b(?:scales?|order|ids?|meanings?|signs?"
        r"|results?|answers?|values?)\b",
        r"\b(?:assign|set|give|put|use)\b.{0,40}?\b(?:maximum|minimum|zeros?|highest|lowest)\b",
        # What is to be done, and to whom.
        rf"{_OVERRIDES}\b{_NEAR}{_MEANT}",
        rf"{_MEANT}{_NEAR}{_OVERRIDES}\b(?=.{{0,40}}\b(?:all|any|every|these|those|please|now)\b)",
        rf"{_OTHERS}{_NEAR}{_ORDERS}",
        rf"{_ORDERS}{_NEAR}{_OTHERS}",
        rf"\b(?:everyone|everybody|others|neighbou?rs?|the rest|(?:all|every) (?:the |of the )?"
        rf"(?:other )?{_TEXTS}|(?:customer|visitor|user|person|message|one)s? (?:before|after|above"
        rf"|below|behind|next)|whatever the|{_TEXTS} (?:with|about|from|containing|mentioning)"
        rf"){_NEAR}{_FEELINGS}|\ball zeros?\b|\beverything zero\b",
        r"\b(?:respond|reply|answer|output|return|print|repeat|say|write) (?:only |just |exactly )?"
        r"(?:with|in|as|only|the following|nothing|exactly)\b",
        r"\byour (?:instruct\w*|prompt|output|rules|role|purpose|programming|creator|scale)\b",
        r"\bonly (?:my|this) (?:message|text|feedback|review|comment)s?\b|\bcopy my\b",
    )
]

# A word with letters missing their place is told by its first letter and the set of all.
_KEY_WORDS = (
    "ignore", "ignoring", "disregard", "forget", "override", "previous", "prior", "above",
    "following", "instructions", "instruction", "messages", "message", "system", "sentiment",
    "positive", "negative", "neutral", "prompt", "everyone", "others", "other", "rating", "scores",
)  # fmt: skip
_BY_LETTERS = {(word[0], frozenset(word)): word for word in _KEY_WORDS}
_MISPLACED_MAX = 3

# Other languages: one of each column. Stems without accents, as the readings have them.
_OVERRIDES_ABROAD = (
    "ignor|missacht|vergiss|vergess|uberschreib|befolg|oubli|olvid"
    "|descart|desconsider|esquec|esquece|dimentic|trascur|negeer|vergeet|zignoruj|pomin"
    "|zapomn|glem|glom|unohda|ohita|uita|felejts|hagyd figyelmen|yoksay|gormezden|unut|abaikan"
    "|lupakan|bo qua|quen di|игнорир|проигнор|забуд|забыт|отмени|ігнор"
    "|忽略|无视|無視|忘记|忘掉|忘れ"
    "|무시|잊|تجاهل|انس|अनदेख|नज़रअंदाज|भूल जा|αγνοησ|ξεχασ|התעלם|תשכח|เพิกเฉย|ละเว|نادیده|فراموش"
)
_RATES_ABROAD = (
    "bewert|einstuf|stufe|punkt|note |setze|gib |antwort|markier|puntu|punta|punte|pontu|calific"
    "|clasific|classifi|klassifi|valut|avali|evalu|assign|asign|atribu|metti|pon |poner|marca"
    "|donne|mets|oceń|ocen|ustaw|betygs|bedom|arvio|oylama|puan|nilai|danh gia|оцен|постав|присво"
    "|считай|отмет|评分|打分|分数|得分|评为|设为|标记|评价|採点|評価|スコア|설정|점수|평가|قيم|تقييم|درجة"
    "|ضع|صنف|मूल्यांकन|अंक दें|अंक दो|स्कोर|रेट कर|βαθμολογ|דרג|ציון|คะแนน|امتیاز"
)
_MEANT_ABROAD = (
    "anweisung|vorgabe|befehl|regeln|instruc|instruk|istruzion|consigne|ordre|polecen|talimat"
    "|instruksi|huong dan|инструкц|указан|команд|правил|вказів|指令|指示|命令|规则|說明"
    "|지시|명령|تعليمات|أوامر|निर्देश|आदेश|οδηγι|הוראות|คำสั่ง|دستور|nachricht|mensaj|mensag|messag|bericht|wiadomos"
    "|meddeland|viest|mesaj|pesan|tin nhan|сообщен|повідомл|消息|信息|メッセージ|메시지|رسائل|رسالة"
    "|संदेश|μηνυμα|הודע|ข้อความ|پیام|prompt|system|sistem|систем|系统|システム|시스템"
)
_WHICH_ABROAD = (
    r"\balle[nrs]?\b|\bandere|\bubrig|\bfolgend|\bvorherig|\bnachste|\btod[oa]s?\b|\botr[oa]s\b"
    r"|\bdemas\b|\bsiguiente|\banterior|\btou(?:s|te|tes)\b|\bautres?\b|\bsuivant|\bprecedent"
    r"|\btutt[ie]\b|\baltr[ie]\b|\bprossim|\bseguente|\boutr[oa]s\b|\bproxim|\bwszyst|\binne\b"
    r"|\btum\b|\bdiger\b|\bsemua\b|\btat ca\b|\balla\b|\bandra\b|\bвсе[хм]?\b|\bдруги|\bостальн"
    r"|\bследующ|\bпредыдущ|\bусі|所有|全部|其他|其它|下一|上一|前面|后面|以上|全て|すべて|他の|次の|前の|모든|다른"
    r"|다음|이전|\bكل\b|جميع|الأخرى|التالية|السابقة|सभी|अन्य|पिछल|ολα|הכל|כל |ทั้งหมด|همه"
)
# The poles' names alone are enough, as in English.
_POLES_ABROAD = (
    "позитив|негатив|нейтрал|положительн|отрицательн|正面|负面|負面|积极|消极|中性|ポジティブ|ネガティブ"
    "|肯定的|否定的|긍정|부정적|إيجابي|ايجابي|سلبي|محايد|सकारात्मक|नकारात्मक|θετικ|αρνητικ|חיובי|שלילי"
    "|positi[vf]|negati[vf]|tich cuc|tieu cuc|olumlu|olumsuz|情感|情緒|感情分析|тональност|stimmung"
)
# Folded as the readings are: no accents, and Korean syllables taken apart.
_ABROAD = [
    (re.compile(fold(first)), re.compile(fold(second)))
    for first, second in (
        (_OVERRIDES_ABROAD, f"{_MEANT_ABROAD}|{_RATES_ABROAD}|{_WHICH_ABROAD}"),
        (_RATES_ABROAD, _WHICH_ABROAD),
        (_MEANT_ABROAD, _WHICH_ABROAD),
        (_POLES_ABROAD, ""),
    )
]
_RUN_TOGETHER = re.compile(
    r"(?:ignor|disregard|forget|override)(?:e|ing)?(?:all|any|the|every|my|your|these|those)*"
    r"(?:previous|prior|above|earlier|other|instruct|rule|prompt|message|text|system)"
    r"|systemprompt|allmessages|othermessages|(?:rate|score|mark|label)(?:all|every|the)"
)


def may_instruct(text: str) -> bool:
    """Whether a model might take any of the text for words to itself."""
    if hides_text(text) or mixes_scripts(text):
        return True
    readings = list_readings(text)
    together = re.sub(r"[\W_]", "", readings[0])
    readings.append(re.sub(r"[^\W\d_]{4,20}", _spell, readings[0]))
    return _RUN_TOGETHER.search(together) is not None or any(map(_speaks_to_a_model, readings))


def _spell(found: re.Match[str]) -> str:
    word = found[0]
    meant = _BY_LETTERS.get((word[0], frozenset(word)), word)
    return meant if abs(len(meant) - len(word)) <= _MISPLACED_MAX else word


def _speaks_to_a_model(reading: str) -> bool:
    return any(sign.search(reading) for sign in _SIGNS) or any(
        first.search(reading) and second.search(reading) for first, second in _ABROAD
    )
