import pytest

from pipelines.errors import Permanent
from pipelines.knowledge import html_tree
from pipelines.knowledge.document import Document
from pipelines.knowledge.extract import extract
from pipelines.knowledge.html_judge import judge_article
from pipelines.knowledge.html_walk import Walk


def read(body: str, head: str = "") -> Document:
    page = f"<!doctype html><html><head>{head}</head><body>{body}</body></html>"
    return extract(page.encode(), content_type="text/html; charset=utf-8")


def outline(document: Document) -> list[tuple[str, str]]:
    return [(block.kind, document.text[block.start : block.end]) for block in document.blocks]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<div id='root'></div><script>render()</script>",
        "<noscript>You need to enable JavaScript to run this app.</noscript><div id=app></div>",
        "<nav><a href=/>Home</a> <a href=/shop>Shop</a></nav><div id=app></div>",
        "<style>p { color: red }</style><template><p>Later</p></template>",
    ],
)
def test_a_page_without_text_says_so(body: str) -> None:
    with pytest.raises(Permanent, match="no readable text"):
        read(body)


def test_a_page_of_one_sentence_is_read() -> None:
    document = read("<p>We are closed in August.</p>")

    assert outline(document) == [("paragraph", "We are closed in August.")]


def test_text_beside_blocks_is_not_lost() -> None:
    document = read("<div>before <p>a paragraph</p> between <p>another</p> after</div>")

    assert [text for _, text in outline(document)] == [
        "before",
        "a paragraph",
        "between",
        "another",
        "after",
    ]


def test_one_break_is_a_line_and_two_are_a_paragraph() -> None:
    document = read("<p>Mill Street 1<br>Oxford<br><br>Ring twice.</p>")

    assert outline(document) == [
        ("paragraph", "Mill Street 1\nOxford"),
        ("paragraph", "Ring twice."),
    ]


def test_words_in_neighbouring_elements_stay_words() -> None:
    document = read(
        "<p><span>Monday</span><span>9:00</span></p>"
        "<p><a href=/a>Red</a><a href=/b>Green</a> and more colours than that</p>"
        "<p><b>H</b><b>ello</b> and H<sub>2</sub>O, un<i>believ</i>able</p>"
    )

    assert [text for _, text in outline(document)] == [
        "Monday 9:00",
        "Red Green and more colours than that",
        "Hello and H2O, unbelievable",
    ]


def test_signs_that_nobody_sees_do_not_split_words() -> None:
    document = read("<p>Donau&shy;dampf&#8203;schiff \ue001 &nbsp; fährt</p>")

    assert document.text == "Donaudampfschiff fährt"


@pytest.mark.parametrize(
    "hidden",
    [
        "<p hidden>secret</p>",
        "<p style='color:red; display: none'>secret</p>",
        "<p style='visibility:hidden'>secret</p>",
        "<p aria-hidden='true'>secret</p>",
        "<p class='sr-only'>secret</p>",
        "<p class='hidden'>secret</p>",
        "<div class='modal d-none'><p>secret</p></div>",
        "<dialog><p>secret</p></dialog>",
        "<select><option>secret</option></select>",
        "<textarea>secret</textarea>",
        "<!-- secret -->",
        "<svg><text>secret</text></svg>",
        "<form><label>secret</label><input><button>secret</button></form>",
    ],
)
def test_what_nobody_sees_is_left_out(hidden: str) -> None:
    document = read(f"<p>Everybody reads this sentence.</p>{hidden}")

    assert document.text == "Everybody reads this sentence."


@pytest.mark.parametrize(
    "shown",
    [
        "<p class='hidden md:block'>The table stands here.</p>",
        "<p class='d-none d-lg-block'>The table stands here.</p>",
        "<div role='tabpanel' hidden><p>The table stands here.</p></div>",
        "<button aria-controls='p1' aria-expanded='false'>+</button>"
        "<div id='p1' style='display:none'><p>The table stands here.</p></div>",
    ],
)
def test_what_a_click_or_a_wide_screen_shows_is_kept(shown: str) -> None:
    document = read(f"<p>Everybody reads this sentence.</p>{shown}")

    assert "The table stands here." in document.text


@pytest.mark.parametrize(
    "furniture",
    [
        "<nav><ul><li><a href=/>Noise</a></li></ul></nav>",
        "<div role='navigation'><a href=/>Noise</a></div>",
        "<footer><p>Noise, all rights reserved.</p></footer>",
        "<div class='site-footer'>Noise</div>",
        "<div id='cookie-consent'><p>Noise with cookies.</p></div>",
        "<div class='newsletter-signup'><p>Noise by mail</p></div>",
        "<ul class='breadcrumb'><li>Noise</li></ul>",
        "<div class='share-buttons'><a href=/>Noise</a></div>",
        "<div class='related-posts'><h3>Noise</h3><a href=/>Noise</a></div>",
        "<ul><li><a href=/1>Noise</a><li><a href=/2>Noise</a><li><a href=/3>Noise</a></ul>",
        "<a class='btn btn-primary' href=/>Noise now</a>",
        "<a href='#main'>Skip to noise</a>",
        "<aside class='sidebar'><p>Noise</p></aside>",
    ],
)
def test_furniture_is_left_out(furniture: str) -> None:
    text = "The workshop repairs bicycles of every kind, also on Saturdays."

    document = read(f"{furniture}<h1>Workshop</h1><p>{text}</p>")

    assert document.text == f"Workshop\n\n{text}"


def test_icons_of_a_page_do_not_disturb_the_choice_of_its_article() -> None:
    text = "The council has decided to keep the old bridge after a long debate. " * 6
    head = '<meta property="article:published_time" content="2026-01-01">'

    document = read(f"<article><p>{text}<b>&#xF0009;</b>\U000f0008</p></article>", head)

    assert document.text == text.strip()


def test_a_page_that_is_a_list_of_links_is_read() -> None:
    places = [f"Office in town number {n}" for n in range(20)]
    links = "".join(f"<li><a href=/{n}>{place}</a>" for n, place in enumerate(places))

    document = read(f"<nav><a href=/>Home</a></nav><ul>{links}</ul>")

    assert document.text == "\n".join(f"- {place}" for place in places)


def test_a_menu_of_dishes_is_not_a_menu_of_links() -> None:
    document = read(
        "<section id='menu' class='menu'><h2>Menu</h2><ul><li>Soup 4.50</li><li>Fish 12.80</li>"
        "</ul></section>"
    )

    assert outline(document) == [("heading", "Menu"), ("list", "- Soup 4.50\n- Fish 12.80")]


def test_a_telephone_number_on_a_button_is_kept() -> None:
    document = read("<p>Call us any time.</p><a class='btn' href='tel:1'>0800 123 456</a>")

    assert "0800 123 456" in document.text


def test_a_title_in_the_page_header_is_kept_without_its_links() -> None:
    document = read(
        "<header class='masthead'><nav><a href=/>Home</a></nav><h1>Soap by hand</h1>"
        "<p>Made in Marseille since 1924.</p></header><main><h2>Kinds</h2><p>Olive, laurel and "
        "lavender soap, each in three sizes.</p></main>"
    )

    assert [text for _, text in outline(document)] == [
        "Soap by hand",
        "Made in Marseille since 1924.",
        "Kinds",
        "Olive, laurel and lavender soap, each in three sizes.",
    ]


def test_headings_lead_the_path_of_what_follows() -> None:
    document = read("<h1>A</h1><h2>B</h2><p>x</p><h3>C</h3><p>y</p><h2>D</h2><p>z</p>")

    paths = {
        document.text[block.start : block.end]: block.heading_path for block in document.blocks
    }
    assert paths["x"] == ("A", "B")
    assert paths["y"] == ("A", "B", "C")
    assert paths["z"] == ("A", "D")
    assert paths["D"] == ("A", "D")


def test_a_question_ends_with_its_answer() -> None:
    document = read(
        "<h2>Help</h2><details><summary>Why?</summary><p>Because.</p></details><p>Call us.</p>"
    )

    assert [block.heading_path for block in document.blocks] == [
        ("Help",),
        ("Help", "Why?"),
        ("Help", "Why?"),
        ("Help",),
    ]


def test_ordered_lists_keep_their_numbers() -> None:
    document = read("<ol start=3><li>three<li value=7>seven<li>eight<ul><li>in it</ul></ol>")

    assert document.text == "3. three\n7. seven\n8. eight\n  - in it"


def test_an_item_of_several_paragraphs_stays_one_item() -> None:
    document = read("<ul><li><p>first</p><p>more of it</p></li><li>second</li></ul>")

    assert document.text == "- first\n  more of it\n- second"


def test_cards_in_a_list_are_sections() -> None:
    document = read("<ul><li><h3>Fast</h3><p>One day.</p></li><li><h3>Safe</h3><p>Yes.</p></ul>")

    assert outline(document) == [
        ("heading", "Fast"),
        ("paragraph", "One day."),
        ("heading", "Safe"),
        ("paragraph", "Yes."),
    ]


def test_code_keeps_every_space_and_loses_its_line_numbers() -> None:
    document = read(
        "<p>Like this:</p><pre><span class='lineno'>1 </span>if x:\n<span class='lineno'>2 </span>"
        "    <b>return</b>  y\n<button>Copy</button></pre>"
    )

    assert outline(document)[1] == ("code", "if x:\n    return  y")


def test_a_table_that_arranges_the_page_is_not_a_table() -> None:
    document = read(
        "<table><tr><td><h2>Left</h2><p>Text of the left side.</p></td>"
        "<td><p>Text of the right side.</p></td></tr></table>"
    )

    assert [kind for kind, _ in outline(document)] == ["heading", "paragraph", "paragraph"]


def test_a_table_has_its_header_caption_and_spans() -> None:
    document = read(
        "<table><caption>Fares</caption><thead><tr><th>To<th colspan=2>Price</tr></thead>"
        "<tr><td rowspan=2>Town<td>day<td>2.00</tr><tr><td>night<td>3|50</tr></table>"
    )

    caption, table = document.blocks
    assert document.text[caption.start : caption.end] == "Fares"
    assert document.text[table.start : table.header_end] == "| To | Price |  |\n| --- | --- | --- |"
    assert document.text[table.header_end : table.end] == (
        "\n| Town | day | 2.00 |\n| Town | night | 3\\|50 |"
    )


def test_a_table_without_header_has_none() -> None:
    document = read("<table><tr><th>Mon<td>9-17</tr><tr><th>Tue<td>closed</tr></table>")

    (table,) = document.blocks
    assert table.header_end == table.start
    assert document.text == "| Mon | 9-17 |\n| Tue | closed |"


def test_ticks_and_crosses_in_a_table_can_be_read() -> None:
    document = read(
        "<table><tr><th>Feature<th>Free<th>Paid</tr><tr><td>Support"
        "<td><i class='fa fa-times'></i><td><svg aria-label='included'></svg></tr></table>"
    )

    assert document.text.endswith("| Support | ✗ | included |")


def test_a_table_made_of_other_elements_is_a_table() -> None:
    document = read(
        "<div role=table><div role=rowgroup><div role=row><span role=columnheader>To</span>"
        "<span role=columnheader>Fare</span></div></div><div role=row><span role=rowheader>Kiel"
        "</span><span role=cell>2.00</span></div></div>"
    )

    assert outline(document) == [("table", "| To | Fare |\n| --- | --- |\n| Kiel | 2.00 |")]


def test_a_question_that_opens_its_answer_is_its_heading() -> None:
    document = read(
        "<h2>Help</h2><div><button aria-expanded=false>Do you deliver?</button><div hidden>"
        "<p>Yes, daily.</p></div><div role=button aria-expanded=false>営業時間は？</div>"
        "<div style='display:none'>九時から。</div></div><p>Call us.</p>"
    )

    assert [(block.kind, block.heading_path) for block in document.blocks] == [
        ("heading", ("Help",)),
        ("heading", ("Help", "Do you deliver?")),
        ("paragraph", ("Help", "Do you deliver?")),
        ("heading", ("Help", "営業時間は？")),
        ("paragraph", ("Help", "営業時間は？")),
        ("paragraph", ("Help",)),
    ]


def test_a_picture_of_a_figure_is_described_by_its_caption_or_else_its_alternative() -> None:
    document = read(
        "<p>See the boats:</p><figure><img alt='A blue boat'></figure>"
        "<figure><img alt='Another boat'><figcaption>Boat at sea</figcaption></figure>"
        "<figure><img alt=IMG_001.jpg></figure>"
    )

    assert outline(document)[1:] == [("caption", "A blue boat"), ("caption", "Boat at sea")]


def test_a_formula_is_read_as_it_was_written() -> None:
    document = read(
        "<p>So <math><mi>E</mi><annotation encoding='application/x-tex'>E = mc^2</annotation>"
        "</math><span aria-hidden=true>E=mc2</span> holds, and <span style='display:none'>"
        "<math alttext='a^2'><mi>a</mi></math></span> too.</p>"
    )

    assert document.text == "So E = mc^2 holds, and a^2 too."


def test_code_in_another_element_than_pre_is_code() -> None:
    document = read(
        "<p>Like:</p><div style='white-space: pre; font-family: monospace'>a\n  b</div>"
    )

    assert outline(document)[1] == ("code", "a\n  b")


def ld(json: str) -> str:
    return f'<script type="application/ld+json">{json}</script>'


def test_an_article_that_only_its_scripts_show_is_read_from_its_data() -> None:
    document = read(
        "<div id=root>Loading…</div>",
        ld('{"@type":"NewsArticle","articleBody":"The bridge stays.\\n\\nThe council said so."}'),
    )

    assert outline(document) == [
        ("paragraph", "The bridge stays."),
        ("paragraph", "The council said so."),
    ]


def test_an_answer_that_the_page_shows_is_not_read_twice() -> None:
    answer = '{"@type":"Answer","text":"<p>Yes, <b>daily</b>.</p>"}'
    data = '{"@type":"FAQPage","mainEntity":[{"@type":"Question","name":"Open?",'
    body = "<h2>Open?</h2><p>Yes, daily.</p>"

    document = read(body, ld(f'{data}"acceptedAnswer":{answer}}}]}}'))

    assert document.text == "Open?\n\nYes, daily."


@pytest.mark.parametrize(
    "json", ["[" * 50_000, '{"@type":["Product",7],"offers":[3]}', "null", "{"]
)
def test_data_that_is_none_is_passed_over(json: str) -> None:
    document = read("<p>Everybody reads this sentence.</p>", ld(json))

    assert document.text == "Everybody reads this sentence."


def test_a_page_of_frames_says_that_it_is_one() -> None:
    with pytest.raises(Permanent, match="made of frames"):
        extract(b"<html><frameset><frame src=a></frameset></html>", content_type="text/html")


def test_a_page_that_its_scripts_build_says_that_it_needs_them() -> None:
    with pytest.raises(Permanent, match="needs JavaScript"):
        read("<div id=__next></div><script id=__NEXT_DATA__ type='application/json'>{}</script>")


def test_an_articles_title_leads_the_path_and_is_not_repeated_in_the_text() -> None:
    text = "The council has decided to keep the old bridge after a long debate. " * 6
    head = '<meta property="article:published_time" content="2026-01-01"><title>Bridge</title>'

    document = read(f"<article><h1>The bridge stays</h1><p>{text}</p><p>{text}</p></article>", head)

    assert document.title == "Bridge"
    assert "The bridge stays" not in document.text
    assert {block.heading_path for block in document.blocks} == {("The bridge stays",)}


def test_a_price_list_that_calls_itself_an_article_keeps_its_prices() -> None:
    head = '<meta property="og:type" content="article"><title>Prices</title>'
    rows = "".join(f"<tr><td>Cut {n}</td><td>{20 + n}.00</td></tr>" for n in range(4))

    document = read(f"<h1>Prices</h1><p>Ask us.</p><table>{rows}</table>", head)

    assert document.text.startswith("Prices\n\nAsk us.\n\n| Cut 0 | 20.00 |")


@pytest.mark.parametrize("tag", ["div", "b", "table", "ul"])
def test_nesting_beyond_what_the_parser_bears_is_read_to_the_end(tag: str) -> None:
    document = read(f"<p>first words</p>{f'<{tag}>' * 600}deep words")

    assert "first words" in document.text
    assert "deep words" in document.text


@pytest.mark.parametrize(
    "markup",
    [
        "<div>" * 100_000,
        "<span>" * 100_000,
        "<ul><li>x" * 20_000,
        "<div role=table><div role=row><div role=cell>x</div>" * 5_000,
        "<div aria-expanded=true>" * 20_000,
    ],
)
def test_a_hundred_thousand_levels_are_no_trouble(markup: str) -> None:
    document = read(f"{markup}deep words")

    assert "deep words" in document.text


def test_a_page_too_deep_for_the_judge_is_not_judged() -> None:
    flat = html_tree.parse_html("<p>words</p>" * 6_000)
    deep = html_tree.parse_html("<div>" * 150 + "<p>words</p>" * 6_000)

    assert judge_article(flat, Walk().over(flat).pieces) is not None
    assert judge_article(deep, Walk().over(deep).pieces) is None


def test_scripts_do_not_count_as_the_pages_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_tree, "HTML_CHARS_MAX", 2_000)
    script = "<script>" + "x=1;" * 900 + "</script><style>" + "a{}" * 900 + "</style>"

    document = read(f"{script}<p>See:</p><SCRIPT>{'y' * 3_000}</SCRIPT><p>Done.</p><script>")

    assert document.text == "See:\n\nDone."


def test_a_page_beyond_the_limits_is_refused_with_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(html_tree, "HTML_CHARS_MAX", 2_000)
    monkeypatch.setattr(html_tree, "ELEMENTS_MAX", 100)

    with pytest.raises(Permanent, match="limit 2,000"):
        read("x" * 2_000)
    with pytest.raises(Permanent, match="more than 100 HTML elements"):
        read("<br>" * 101)


def test_pictures_in_the_page_do_not_count_as_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_tree, "HTML_CHARS_MAX", 2_000)
    picture = "A" * 3_000

    document = read(f"<p>See:</p><img src='data:image/png;base64,{picture}'><p>Done.</p>")

    assert document.text == "See:\n\nDone."


@pytest.mark.parametrize(
    ("html", "language"),
    [
        ('<html lang="pt-BR"><p>Bom dia', "pt"),
        ('<html lang="en"><p>営業時間は平日の午前九時から午後六時までです。', "ja"),
        ("<html><p>Der Laden ist am Montag nicht geöffnet und am Dienstag auch nicht.", "de"),
        ("<html><p>Zzz", None),
        ("<html lang=mk><p>Продавницата работи секој ден освен во недела и празници.", "mk"),
        ("<html lang=fa><p>این مغازه هر روز هفته برای مردم باز است.", "fa"),
        ("<html lang=ru><p>The shop is open on every day of the week and the year.", "en"),
        ("<html lang=sl><p>Trgovina je odprta vsak dan razen ob nedeljah.", "sl"),
        (
            "<html lang=en><p>Die Werkstatt ist am Montag geschlossen, und für die Annahme der "
            "Räder ist an allen Tagen mit dem Meister zu sprechen, auf den wir uns verlassen.",
            "de",
        ),
        ("<html lang=en><p>Die Hard is a film; see also the article on it.", "en"),
    ],
)
def test_the_language_is_declared_or_detected(html: str, language: str | None) -> None:
    document = extract(html.encode(), content_type="text/html")

    assert document.language == language
