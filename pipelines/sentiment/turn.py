"""Where a message turns: what follows "but" outweighs what stands before it."""

import re

END_WORDS_MIN = 2

_TURN = re.compile(
    r"(?<!nothing )(?<!anything )(?<!all )(?<!no one )(?<!can't help )"
    r"\b(?:but|however|yet|unfortunately|sadly|aber|jedoch|leider|pero|lamentablemente|mais|cependant"
    r"|malheureusement|però|purtroppo|porém|infelizmente|maar|helaas|ama|но|لكن)\b"
    # Short words of one language that others use otherwise turn only after a comma.
    r"|(?<=[,.;!] )(?:ma|mas|ale|men|still|now|then)\b"
)
_COURTESY = re.compile(
    r"(?:hi|hello|hey|dear [a-z ]{2,20}|good (?:morning|afternoon|evening)|sorry)[ ,.!:]+"
)


def find_end(normalised: str) -> str:
    """What stands after the last turn, without a greeting; the whole text where nothing turns."""
    greeting = _COURTESY.match(normalised)
    whole = normalised[greeting.end() :] if greeting else normalised
    turns = list(_TURN.finditer(whole))
    end = whole[turns[-1].end() :].strip(" ,.;:!") if turns else whole
    return end if len(end.split()) >= END_WORDS_MIN else normalised
