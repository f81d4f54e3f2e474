package console

import (
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// TestReadable holds pages to what somebody needs who works with a keyboard, a reader or large letters (WCAG 2.2).
func TestReadable(t *testing.T) {
	s := newStage(t)
	list := append(s.everyPage(), "/login")
	b := s.as("s050")
	for _, path := range list {
		if path == "/now/part" {
			continue
		}
		readable(t, path, b.get(path).body)
	}
}

func readable(t *testing.T, path, body string) {
	t.Helper()
	if len(body) > 100<<10 {
		t.Errorf("%s has %d bytes", path, len(body))
	}
	root, err := html.Parse(strings.NewReader(body))
	fatal(t, err)
	l := &look{t: t, path: path, ids: map[string]int{}, labels: map[string]bool{}}
	l.collect(root)
	l.at(root, false)
	if l.mains != 1 || l.heads != 1 || !l.lang || !l.title || !l.skip {
		t.Errorf("%s: %d main, %d h1, language %v, title %v, skip link %v", path, l.mains, l.heads, l.lang, l.title, l.skip)
	}
}

// look goes through a page.
type look struct {
	t                 *testing.T
	path              string
	ids               map[string]int
	labels            map[string]bool
	mains, heads      int
	lang, title, skip bool
	level             int
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func text(n *html.Node) string {
	if n.Type == html.TextNode {
		return n.Data
	}
	var b strings.Builder
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		b.WriteString(text(c))
	}
	return strings.TrimSpace(b.String())
}

func (l *look) collect(n *html.Node) {
	if id := attr(n, "id"); id != "" {
		if l.ids[id]++; l.ids[id] > 1 {
			l.t.Errorf("%s: id %s stands twice", l.path, id)
		}
	}
	if n.Data == "label" {
		l.labels[attr(n, "for")] = true
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		l.collect(c)
	}
}

func (l *look) at(n *html.Node, labelled bool) {
	if n.Type == html.ElementNode {
		l.element(n, labelled)
		labelled = labelled || n.Data == "label" && text(n) != ""
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		l.at(c, labelled)
	}
}

func (l *look) element(n *html.Node, labelled bool) {
	switch n.Data {
	case "html":
		l.lang = attr(n, "lang") != ""
	case "title":
		l.title = l.title || text(n) != ""
	case "main":
		l.mains++
	case "a":
		l.skip = l.skip || attr(n, "href") == "#main" && l.ids["main"] == 1
		if text(n) == "" {
			l.t.Errorf("%s: a link says nothing", l.path)
		}
	case "button":
		if text(n) == "" {
			l.t.Errorf("%s: a button says nothing", l.path)
		}
	case "input", "select", "textarea":
		if id := attr(n, "id"); attr(n, "type") != "hidden" && !labelled && (id == "" || !l.labels[id]) {
			l.t.Errorf("%s: field %s has no label", l.path, attr(n, "name"))
		}
	case "th":
		if attr(n, "scope") == "" {
			l.t.Errorf("%s: a head of a table belongs to nothing", l.path)
		}
	case "svg", "img":
		if attr(n, "role") != "img" || attr(n, "aria-label") == "" {
			l.t.Errorf("%s: a picture says nothing", l.path)
		}
	case "h1", "h2", "h3":
		level := int(n.Data[1] - '0')
		if level == 1 {
			l.heads++
		}
		if level > l.level+1 {
			l.t.Errorf("%s: heading %q skips a level", l.path, text(n))
		}
		l.level = level
	}
	if by := attr(n, "aria-labelledby"); by != "" && l.ids[by] == 0 {
		l.t.Errorf("%s: %s is labelled by %s, which is not there", l.path, n.Data, by)
	}
}

// TestStyle holds the style to what people set: dark, less motion, focus that shows.
func TestStyle(t *testing.T) {
	css := readFile(t, "static/style.css")
	for _, want := range []string{"prefers-color-scheme: dark", "prefers-reduced-motion", ":focus-visible", "forced-colors", "max-width: 40rem"} {
		if !strings.Contains(css, want) {
			t.Errorf("the style has no %s", want)
		}
	}
	if out := regexp.MustCompile(`url\(|@import|https?:`).FindString(css); out != "" {
		t.Errorf("the style loads something: %s", out)
	}
}
