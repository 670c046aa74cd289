// Package docs holds that what the repository's Markdown files link to is there, and
// that code and documents are in plain words. It has no use outside of its own tests.
package docs

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode"
)

// page is what a Markdown file offers and asks for.
type page struct {
	anchors map[string]bool
	links   []link
}

// link is where a page points, by line.
type link struct {
	target string
	line   int
}

var (
	heading = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*\s*$`)
	// inline is [text](target) or ![alt](target "title"), with code and brackets in
	// the text; reference is [label]: target.
	inline    = regexp.MustCompile(`\]\(\s*<?([^\s)>]+)>?(?:\s+"[^"]*")?\s*\)`)
	reference = regexp.MustCompile(`^\s{0,3}\[[^\]]+\]:\s*<?([^\s>]+)>?`)
	code      = regexp.MustCompile("`[^`]*`")
	named     = regexp.MustCompile(`<a\s+(?:id|name)="([^"]+)"`)
	// linked is a link in a heading, of which the anchor has the text alone.
	linked = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// parse reads a page. Fenced code has neither headings nor links.
func parse(text string) page {
	p := page{anchors: make(map[string]bool)}
	fence := ""
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		if fence != "" {
			if strings.HasPrefix(trimmed, fence) && strings.Trim(trimmed, fence[:1]) == "" {
				fence = ""
			}
			continue
		}
		if mark := fenceOf(trimmed); mark != "" {
			fence = mark
			continue
		}
		if m := heading.FindStringSubmatch(line); m != nil {
			p.add(anchor(m[1]))
		}
		for _, m := range named.FindAllStringSubmatch(line, -1) {
			p.anchors[m[1]] = true
		}
		// A link's text may be code; a target never is.
		shown := code.ReplaceAllString(line, "code")
		for _, m := range append(inline.FindAllStringSubmatch(shown, -1), reference.FindAllStringSubmatch(shown, -1)...) {
			p.links = append(p.links, link{m[1], i + 1})
		}
	}
	return p
}

// fenceOf is the mark that begins fenced code, if the line does.
func fenceOf(line string) string {
	for _, c := range []string{"`", "~"} {
		if n := len(line) - len(strings.TrimLeft(line, c)); n >= 3 {
			return strings.Repeat(c, n)
		}
	}
	return ""
}

// add takes an anchor in; that of a second heading of the same text has a number.
func (p page) add(name string) {
	unique := name
	for n := 1; p.anchors[unique]; n++ {
		unique = fmt.Sprintf("%s-%d", name, n)
	}
	p.anchors[unique] = true
}

// anchor is how GitHub makes one of a heading: lower case, without punctuation, and
// with a hyphen for each space.
// https://docs.github.com/en/get-started/writing-on-github/getting-started-with-writing-and-formatting-on-github/basic-writing-and-formatting-syntax#section-links
func anchor(heading string) string {
	heading = linked.ReplaceAllString(heading, "$1")
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// broken says which of the pages' links lead nowhere. Pages are by their path from the
// repository's top; exists reports whether something else is at such a path.
func broken(pages map[string]page, exists func(string) bool) (faults []string) {
	for from, p := range pages {
		for _, l := range p.links {
			if fault := check(pages, exists, from, l.target); fault != "" {
				faults = append(faults, fmt.Sprintf("%s:%d: %s: %s", from, l.line, l.target, fault))
			}
		}
	}
	return faults
}

// check says what is wrong with a target, if it is in the repository.
func check(pages map[string]page, exists func(string) bool, from, target string) string {
	if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
		return ""
	}
	file, fragment, hasFragment := strings.Cut(target, "#")
	if strings.HasPrefix(file, "/") {
		return "write it relative to this file"
	}
	to := from
	if file != "" {
		to = path.Join(path.Dir(from), file)
	}
	if strings.HasPrefix(to, "../") || !exists(to) {
		return "there is no " + to
	}
	if !hasFragment {
		return ""
	}
	p, ok := pages[to]
	if !ok {
		return "only Markdown files have anchors"
	}
	if !p.anchors[fragment] {
		return "there is no such heading in " + to
	}
	return ""
}
