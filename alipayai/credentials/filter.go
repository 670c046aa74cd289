package credentials

import (
	"hash/maphash"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Hidden stands where a secret was.
const Hidden = "[credential]"

// Source has secrets that change, such as access tokens.
type Source interface {
	// Credentials are the present secrets, and former ones that may still leak.
	Credentials() []string
	// CredentialsChanged counts the changes. It is called often.
	CredentialsChanged() uint64
}

// Filter knows secrets and finds them in texts. The zero Filter knows none; it is
// safe for concurrent use. It prints nothing of what it knows.
type Filter struct {
	mu      sync.Mutex
	secrets []string
	sources []Source
	// fixed are the grams of the first of secrets, fixedOf of them, and changing those of the sources' secrets as
	// they were last: what has not changed is not compiled again.
	fixed    *grams
	fixedOf  int
	changing map[string]compiled
	current  atomic.Pointer[snapshot]
}

// snapshot is what a filter knows at one time.
type snapshot struct {
	grams   []*grams
	sources []Source
	changes uint64
	// passed are texts that held no secret, the youngest first of those that share a hash. They never
	// will: secrets are random, and those that the texts were not compared with are younger.
	passed [passedHashes][passedWays]atomic.Pointer[string]
}

// Bounds of what is remembered as passed. Texts that every answer has may share a hash, and not push each other out.
const (
	passedHashes  = 64
	passedWays    = 8
	maxPassedText = 256 // bytes
)

var passedSeed = maphash.MakeSeed()

// places are where text is remembered as passed.
func (s *snapshot) places(text string) *[passedWays]atomic.Pointer[string] {
	return &s.passed[maphash.String(passedSeed, text)%passedHashes]
}

// Add makes secrets known, for good. Those of less than 8 characters are ignored.
func (f *Filter) Add(secrets ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, secret := range secrets {
		if secret != "" && !slices.Contains(f.secrets, secret) {
			f.secrets = append(f.secrets, secret)
			f.current.Store(nil)
		}
	}
}

// Watch makes the secrets of a source known, as they are at each time, until
// stop is called.
func (f *Filter) Watch(source Source) (stop func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sources = append(slices.Clone(f.sources), source)
	f.current.Store(nil)
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if i := slices.Index(f.sources, source); i >= 0 {
			f.sources = slices.Delete(slices.Clone(f.sources), i, i+1)
			f.current.Store(nil)
		}
	})
}

// String hides the secrets.
func (f *Filter) String() string { return "[credentials]" }

// GoString hides the secrets.
func (f *Filter) GoString() string { return f.String() }

func changes(sources []Source) (sum uint64) {
	for _, source := range sources {
		sum += source.CredentialsChanged()
	}
	return sum
}

// snapshot gives what f knows now.
func (f *Filter) snapshot() *snapshot {
	if s := f.current.Load(); s != nil && s.changes == changes(s.sources) {
		return s
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &snapshot{sources: f.sources, changes: changes(f.sources)}
	if f.fixed == nil {
		f.fixed = new(grams)
	}
	if added := f.secrets[f.fixedOf:]; len(added) > 0 {
		all := make([]compiled, 0, len(added))
		for _, secret := range added {
			all = append(all, compile(secret))
		}
		f.fixed, f.fixedOf = f.fixed.with(all...), len(f.secrets)
	}
	changing := make(map[string]compiled)
	for _, source := range f.sources {
		for _, secret := range source.Credentials() {
			if c, ok := f.changing[secret]; ok {
				changing[secret] = c
			} else if _, ok := changing[secret]; !ok {
				changing[secret] = compile(secret)
			}
		}
	}
	f.changing = changing
	s.grams = []*grams{f.fixed, new(grams).with(slices.Collect(maps.Values(changing))...)}
	f.current.Store(s)
	return s
}

// hasWhole reports whether a secret is looked for that is shorter than a gram.
func (s *snapshot) hasWhole() bool {
	return slices.ContainsFunc(s.grams, func(g *grams) bool { return len(g.whole) > 0 })
}

// Passed reports, at next to no cost, whether text is known to hold no secret,
// nor a part of one: it is a short number, or was looked at before. A secret of
// one request cannot be in what another has brought before.
func (f *Filter) Passed(text string) bool {
	if f == nil {
		return false
	}
	s := f.snapshot()
	if isNumber(text) && (len(text) < minSecret || len(text) < gram && !s.hasWhole()) {
		return true
	}
	places := s.places(text)
	for i := range places {
		if passed := places[i].Load(); passed == nil || *passed == text {
			return passed != nil
		}
	}
	return false
}

// isNumber reports whether text is a number, or a time as headers have it (6m0s):
// such values are other ones each time.
func isNumber(text string) bool {
	return strings.Trim(text, "0123456789.hms") == ""
}

// pass remembers that text holds no secret.
func (s *snapshot) pass(text string) {
	if len(text) <= maxPassedText {
		text = strings.Clone(text) // of what may be a whole header
		places, younger := s.places(text), &text
		for i := 0; i < passedWays && younger != nil; i++ {
			younger = places[i].Swap(younger)
		}
	}
}

// With gives f with the secrets of one request besides, which are compared only
// when there is something to compare them with. A nil Filter knows none but these.
func (f *Filter) With(secrets func() []string) *Mask { return &Mask{filter: f, secrets: secrets} }

// Text gives text with [Hidden] for each secret in it. A nil Filter knows none.
func (f *Filter) Text(text string) string {
	if f == nil || len(text) < minSecret {
		return text
	}
	return without(text, 0, search(text, f.snapshot().grams))
}

// Mask hides the secrets of a Filter and of one request. It is safe for concurrent
// use.
type Mask struct {
	filter  *Filter
	secrets func() []string
	// snapshot is what filter knew when a text was compared first.
	first    sync.Once
	snapshot *snapshot
	// known are the grams of all secrets, once a text may hold one.
	once  sync.Once
	known []*grams
}

// Text gives text with [Hidden] for each secret in it.
func (m *Mask) Text(text string) string {
	m.Texts(&text)
	return text
}

// Texts hides secrets in texts that a reader may put together: also one that goes
// on from one to the next.
func (m *Mask) Texts(texts ...*string) {
	if m.passed(texts) {
		return
	}
	m.hide(texts)
	for _, text := range texts {
		if !strings.Contains(*text, Hidden) {
			m.former().pass(*text)
		}
	}
}

// hide is Texts, of texts that are not known.
func (m *Mask) hide(texts []*string) {
	var joined strings.Builder
	starts := make([]int, 0, len(texts)+1)
	for _, text := range texts {
		starts = append(starts, joined.Len())
		joined.WriteString(*text)
	}
	starts = append(starts, joined.Len())
	found := m.search(joined.String())
	for i, text := range texts {
		if len(found) > 0 {
			*text = without(*text, starts[i], found)
		}
	}
}

func (m *Mask) passed(texts []*string) bool {
	return !slices.ContainsFunc(texts, func(text *string) bool { return !m.filter.Passed(*text) })
}

// Bytes gives text with [Hidden] for each secret in it: itself where there is none.
func (m *Mask) Bytes(text []byte) []byte {
	if found := m.search(string(text)); len(found) > 0 {
		return []byte(without(string(text), 0, found))
	}
	return text
}

// Header hides secrets in the values of a header, where they are. A field whose name
// holds one goes.
func (m *Mask) Header(h http.Header) {
	var texts []*string
	for name := range h {
		if len(name) >= minSecret && len(m.search(name)) > 0 {
			delete(h, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for i := range h[name] {
			texts = append(texts, &h[name][i])
		}
	}
	m.hide(texts)
}

// former gives what the filter knew when a text was compared first.
func (m *Mask) former() *snapshot {
	m.first.Do(func() {
		if m.snapshot = new(snapshot); m.filter != nil {
			m.snapshot = m.filter.snapshot()
		}
	})
	return m.snapshot
}

// own gives the secrets of the request.
func (m *Mask) own() []string {
	if m.secrets == nil {
		return nil
	}
	return m.secrets()
}

// search gives the parts of text that are secrets', in order and apart.
func (m *Mask) search(text string) []span {
	if len(text) <= maxSample {
		v := plain(text, false)
		if !look(v, m.former().grams, nil) && !mayHold(v, m.own()) {
			return nil
		}
	}
	return search(text, m.compile())
}

// compile gives all secrets that m hides.
func (m *Mask) compile() []*grams {
	m.once.Do(func() {
		var all []compiled
		for _, secret := range m.own() {
			all = append(all, compile(secret))
		}
		m.known = append([]*grams{new(grams).with(all...)}, m.former().grams...)
	})
	return m.known
}

// span is a part of a text.
type span struct{ start, end int }

// search gives the parts of text that are secrets', in order and apart.
func search(text string, known []*grams) []span {
	if !look(plain(text, false), known, nil) {
		return nil
	}
	var found []span
	look(plain(text, true), known, func(v view, start, end int) {
		from, to := v.place(start, end)
		found = append(found, span{from, to})
	})
	slices.SortFunc(found, func(a, b span) int { return a.start - b.start })
	apart := found[:1]
	for _, s := range found[1:] {
		if last := &apart[len(apart)-1]; s.start <= last.end {
			last.end = max(last.end, s.end)
		} else {
			apart = append(apart, s)
		}
	}
	return apart
}

// look reports whether v holds a secret, with escapes undone none, one or more
// times, and where.
func look(v view, known []*grams, found func(v view, start, end int)) (any bool) {
	readings(v, func(v view) bool {
		find(known, v.folded(), func(start, end int) {
			any = true
			if found != nil {
				found(v, start, end)
			}
		})
		return !any || found != nil
	})
	return any
}

// readings gives v as a reader may take it: with escapes undone none, one or more times, and each of these
// as what it may encode.
func readings(v view, yield func(view) bool) {
	for depth := 0; ; depth++ {
		if !yield(v) {
			return
		}
		// In addition, not instead: in other parts of the text these characters may be a secret's.
		if joined, ok := v.joinHex(); ok && !yield(joined) {
			return
		}
		if printable, ok := v.quotedPrintable(); ok && !yield(printable) {
			return
		}
		if depth == maxEscapes {
			return
		}
		next, escaped := v.unescape()
		if !escaped {
			return
		}
		v = next
	}
}

// without gives text, which began at start, with Hidden for what was found.
func without(text string, start int, found []span) string {
	if len(found) == 0 {
		return text
	}
	var out strings.Builder
	done := 0
	for _, s := range found {
		from, to := max(s.start-start, done), min(s.end-start, len(text))
		if from >= to {
			continue
		}
		// The white space after a secret is not its own.
		shown := strings.TrimRight(text[from:to], " \t\r\n")
		out.WriteString(text[done:from])
		out.WriteString(Hidden)
		done = from + len(shown)
	}
	out.WriteString(text[done:])
	return out.String()
}
