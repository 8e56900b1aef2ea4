"""The vocabularies by which a page's tags, roles, classes and ids are judged."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


UNSEEN_TAGS = _words("""
    script style noscript template head link meta base iframe frame object embed applet param
    canvas audio video track source map area svg select option optgroup datalist textarea
    input progress meter dialog rt rp annotation annotation-xml
""")
CONTROL_TAGS = _words("button label legend output")
INLINE_TAGS = CONTROL_TAGS | _words("""
    a abbr acronym b bdi bdo big br cite code data del dfn em font i ins kbd mark nobr q ruby
    rb rtc s samp small span strike strong sub sup time tt u var wbr img picture math mi mn mo
    mrow msup msub mfrac msqrt mtext semantics
""")
# Neighbours without white space between, which style sheets nearly always set apart.
SPACED_TAGS = _words("a span strong b em time small")
# In a list of definitions these make a definition a section of its own.
SECTION_TAGS = _words("p pre table ul ol dl div blockquote section h1 h2 h3 h4 h5 h6")
# A table that holds one of these arranges the page.
LAYOUT_TAGS = _words("table h1 h2 h3 h4 form article section nav main")

ROOT_TAGS = _words("html body main article")
NAVIGATION_TAGS = _words("nav footer menu")
NAVIGATION_ROLES = _words("""
    navigation contentinfo search menu menubar toolbar alertdialog dialog tablist
""")
HIDING_CLASSES = _words("""
    hidden d-none is-hidden u-hidden hide visually-hidden visuallyhidden sr-only
    screen-reader-text screen-reader-only a11y-hidden element-invisible invalid-feedback
    mw-editsection mw-jump-link skip-link skip-to-content skiplink noprint no-print
""")
NEVER_OPENED_WORDS = _words("nav navbar menu modal dropdown popup offcanvas drawer")
CHROME_WORDS = _words("""
    cookie cookies consent gdpr ccpa cookiebar cookieconsent cookiebanner onetrust cookiebot
    newsletter subscribe breadcrumb breadcrumbs crumbs share sharing sharebar sharedaddy social
    socials addthis addtoany advert advertisement advertising ads adsbygoogle adsense outbrain
    taboola sponsored popup lightbox offcanvas sidebar sidebars footer colophon copyright
    related recommended recommendations pagination pager paginator upsell upsells crosssell
    login signin skip backtotop
""")
# These also name real content: a restaurant's menu, a page's header. Links decide.
LINKED_CHROME_WORDS = _words("""
    nav navbar navigation menu submenu megamenu topbar toc header masthead tags taglist
    categories archive archives tabs toolbar links sitemap drawer popular trending latest
    recent teaser teasers more next previous prev widget comments aside rail promo banner
""")
BUTTON_WORDS = _words("btn button cta")
LINE_NUMBER_WORDS = _words("lineno linenos linenumber linenumbers linenodiv gutter")
YES_WORDS = _words("check checkmark tick yes")
NO_WORDS = _words("times cross xmark close no minus")
