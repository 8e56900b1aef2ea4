"""The vocabularies by which a page's tags, roles, classes and ids are judged."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


UNSEEN_TAGS = _words("""
    script style noscript noframes template head link meta base iframe frame object embed applet
    param canvas audio video track source map area svg select option optgroup datalist textarea
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
    login signin skip backtotop reaction reactions jumpbox navbox catlinks postprofile
    recentlyviewed crossselling alsobought youmayalsolike mayalsolike announcementbar
""")
# Class names and ids of forums and shops that are furniture only as a whole.
FURNITURE_NAMES = _words("""
    online-list message-user message-userDetails message-signature post_author
    author_information userinfo user-info post-signature signature authi favatar
    crawler-post-meta post-menu toptb ft cart-drawer mini-cart minicart
""")
# A section of this title holds what a visitor may read, buy or say next.
AFTERWORD_TITLES = frozenset(
    line.strip()
    for line in """
    related articles | related posts | related products | related topics | related stories
    | related content | related questions | related | you may also like | you might also like
    | you may also be interested in | customers also bought | customers who bought this also bought
    | recently viewed | recently viewed products | recent posts | recent comments | popular posts
    | more from this author | more stories | read next | up next | see also in this section
    | leave a reply | leave a comment
    | share this | share this article | share this post | follow us
    | latest news | latest posts | trending | most read | most popular | hot network questions
    | was this article helpful | was this page helpful | did this answer your question
    | ähnliche artikel | ähnliche beiträge | ähnliche produkte | verwandte artikel
    | das könnte sie auch interessieren | das könnte dich auch interessieren
    | kunden kauften auch | zuletzt angesehen | zuletzt gesehen | schreibe einen kommentar
    | articles similaires | articles liés | produits similaires | vous aimerez aussi
    | à lire aussi | laisser un commentaire | artículos relacionados | productos relacionados
    | entradas relacionadas | también te puede interesar | deja un comentario | deja una respuesta
    | artigos relacionados | produtos relacionados | posts relacionados | você também pode gostar
    | leia também | deixe um comentário | articoli correlati | prodotti correlati
    | potrebbe interessarti anche | gerelateerde artikelen | gerelateerde producten
    | lees ook | powiązane artykuły | zobacz także | похожие товары | похожие статьи
    | читайте также | с этим товаром покупают | 相关新闻 | 相关文章 | 相关推荐 | 相关阅读 | 猜你喜欢
    | 热门文章 | 最新文章 | 関連記事 | 関連商品 | おすすめ記事 | 人気記事 | 最近の投稿
    | この商品を買った人はこんな商品も買っています | 관련 기사 | 관련 상품 | 추천 상품
    | مقالات ذات صلة | منتجات ذات صلة | مواضيع ذات صلة | اقرأ أيضا | บทความที่เกี่ยวข้อง | สินค้าที่เกี่ยวข้อง
    """.replace("\n", " ").split("|")
)
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
