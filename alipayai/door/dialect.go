package door

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Dialect is how the clients of one API speak. It is safe for concurrent use.
type Dialect interface {
	// Routes are the requests that it serves.
	Routes() []Route
	// Claims reports whether a request is one of its clients', that has come to a path which no dialect serves: its
	// error is in this dialect then.
	Claims(r *http.Request) bool
	// Parse makes a call of a whole body: rd.Request and, unless the body is that in canonical form, rd.Native. rd has
	// the route. What it gives depends on nothing but the route and the body, which is not to be changed.
	Parse(rd *Reading, body []byte) *failure.Failure
	// WriteError writes e as a whole answer.
	WriteError(w http.ResponseWriter, e wire.Error)
	// AppendErrorEvent appends the event of a stream in the client's own form that breaks after its first content.
	AppendErrorEvent(dst []byte, e wire.Error) []byte
}

// Writer writes one answer in the client's form. It belongs to one goroutine. What it is given has been accepted as an
// answer by the gateway, but may still hold anything; what is of another type than it should be counts as absent. A
// failure says that there is nothing to make an answer of: see [Untranslated].
type Writer interface {
	// Whole appends the client's form of a whole canonical answer.
	Whole(dst, canonical []byte) ([]byte, *failure.Failure)
	// Events appends the client's events for canonical ones: one or more, each whole, the last of them data: [DONE].
	// It may append none.
	Events(dst, canonical []byte) ([]byte, *failure.Failure)
	// Broken appends the end of a stream that breaks after its first content.
	Broken(dst []byte, e wire.Error) []byte
}

// Writing is what a Parse may leave as [Reading.Own] where its route has no Begin, for an answer that is not quite in canonical form.
type Writing interface {
	// Writer gives what writes the answer.
	Writer() Writer
}

// Watcher is a Writer that reads what passes it by, since it comes in the client's own form: to keep it, and to end it.
type Watcher interface {
	// Watch takes a whole answer, or events of a stream, before the client has them.
	Watch(passing []byte)
	// BrokenOff appends the end of such a stream that breaks after its first content.
	BrokenOff(dst []byte, e wire.Error) []byte
}

// Estimator is a Writer that says how many tokens a prompt has before the provider does: where a stream begins with that.
type Estimator interface{ EstimateBy(tokens func() int64) }

// Ender is a Writer that is told when its answer has ended, whether the client has had all of it or not.
type Ender interface{ End() }

// Continuer is a Dialect whose requests may go on from what a site keeps.
type Continuer interface {
	// Continue completes a Reading that Continues with what is kept for its owner. It changes rd.Request and what of
	// rd.Native is sent.
	Continue(ctx context.Context, kept *Conversations, owner Owner, rd *Reading) *failure.Failure
}

// Route is one kind of requests.
type Route struct {
	// Method is the one it takes. GET stands for HEAD as well.
	Method string
	// Path is what the request's path ends in, after a "/v1/" somewhere, so that a site may serve it below a prefix:
	// "/chat/completions". A part in braces stands for the [Reading]'s Param: "/responses/{id}/cancel"; at the end it
	// holds all that is left, slashes too. The first route of a path and method counts. "/" alone is any path without
	// "/v1/", for methods that no client mistakes for another's.
	Path string
	// Header is a field that the request must have; empty for none.
	Header string
	// Bodiless says that a POST needs no body, and that what there is of one is not read.
	Bodiless bool
	// Endpoint is what the call asks for.
	Endpoint upstream.Endpoint
	// Begin comes before a call is served, which it may complete. It gives what writes the answer, unless that comes in
	// the client's own form. Nil where canonical bytes are the client's own, as OpenAI's are.
	Begin func(r *http.Request, c *alipayai.Call, rd *Reading) (Writer, *failure.Failure)
	// Serve answers a request that needs no call of the gateway, and reports whether it has; nil where each is a call. A
	// failure is written for it.
	Serve func(g *alipayai.Gateway, w http.ResponseWriter, r *http.Request, tenant string, rd *Reading) (served bool, f *failure.Failure)
	// IDField is the header field by which clients know the call, where that is another than X-Request-Id: canonical.
	IDField string
	// Lacking answers a request whose provider has turned out not to have the endpoint; nil where that is the answer.
	Lacking func(g *alipayai.Gateway, w http.ResponseWriter, tenant string, rd *Reading)
}

// Dialects are those that a site speaks.
type Dialects struct {
	first  Dialect
	all    []Dialect
	routes []route
	serves string
}

// route is a Route with its path taken apart.
type route struct {
	Route
	dialect Dialect
	// before and after stand around the parameter; without one before is the whole path.
	before, after string
	param         bool
}

// NewDialects makes them. The routes of first come last, and requests that no dialect knows are its own.
func NewDialects(first Dialect, others ...Dialect) *Dialects {
	d := &Dialects{first: first, all: append(others, first)}
	var served []string
	for _, dialect := range d.all {
		for _, r := range dialect.Routes() {
			n := route{Route: r, dialect: dialect, before: r.Path}
			if start, end := strings.IndexByte(r.Path, '{'), strings.IndexByte(r.Path, '}'); start >= 0 && end > start {
				n.before, n.after, n.param = r.Path[:start], r.Path[end+1:], true
			}
			d.routes = append(d.routes, n)
			if name := r.Method + " /v1" + r.Path; r.Path != "/" && !strings.HasSuffix(r.Path, "/") && !n.param && r.Header == "" && !slices.Contains(served, name) {
				served = append(served, name)
			}
		}
	}
	d.serves = strings.Join(served[:len(served)-1], ", ") + " and " + served[len(served)-1]
	return d
}

// fits reports whether a path is the route's, with its parameter.
func (n *route) fits(path string) (param string, ok bool) {
	if n.Path == "/" {
		return "", !strings.Contains(path, "/v1/")
	}
	if !n.param {
		// A client whose base URL lacks /v1 learns that, rather than work with one
		// gateway and not with the next.
		before, ok := strings.CutSuffix(path, n.before)
		return "", ok && strings.Contains(before+"/", "/v1/")
	}
	rest, ok := strings.CutSuffix(path, n.after)
	if !ok {
		return "", false
	}
	at := strings.LastIndex(rest, "/v1"+n.before)
	if at < 0 {
		return "", false
	}
	param = rest[at+len("/v1")+len(n.before):]
	return param, param != "" && (n.after == "" || !strings.Contains(param, "/"))
}

// takes reports whether a request with that method is the route's.
func (n *route) takes(method string) bool {
	return method == n.Method || method == http.MethodHead && n.Method == http.MethodGet
}

// readsBody reports whether the requests have a body that is read.
func (n *route) readsBody() bool { return n.Method == http.MethodPost && !n.Bodiless }

// find gives the route of a request and its parameter; nil where there is none, and then the methods that its path takes.
func (d *Dialects) find(r *http.Request) (found *route, param string, allow []string) {
	for i := range d.routes {
		n := &d.routes[i]
		if !n.takes(r.Method) || n.lacksHeader(r) { // which most do, and to look at a path takes longer
			continue
		}
		if param, ok := n.fits(r.URL.Path); ok {
			return n, param, nil
		}
	}
	for i := range d.routes {
		n := &d.routes[i]
		if _, ok := n.fits(r.URL.Path); ok && n.Path != "/" && !n.lacksHeader(r) && !slices.Contains(allow, n.Method) {
			allow = append(allow, n.Method)
		}
	}
	return nil, "", allow
}

// lacksHeader reports whether a request has not the field that the route is for.
func (n *route) lacksHeader(r *http.Request) bool {
	return n.Header != "" && len(r.Header[n.Header]) == 0
}

// unserved are the ends of paths that clients know, of what no moderator could read.
var unserved = map[string]string{
	"/images/generations": "images are", "/images/edits": "images are", "/images/variations": "images are",
	"/audio/speech": "audio is", "/audio/transcriptions": "audio is", "/audio/translations": "audio is",
	"/rerank": "reranking is", "/realtime": "realtime sessions are",
}

// unknown says what to do about a path that no dialect serves.
func (d *Dialects) unknown(path string) string {
	for end, what := range unserved {
		if strings.HasSuffix(path, end) {
			return what + " not served, since moderators read text only; this gateway serves " + d.serves
		}
	}
	return "this gateway serves " + d.serves + "; the base URL of OpenAI's clients ends in /v1, that of Anthropic's does not"
}

// Of gives the dialect that a request is in, for errors that come before it is read: that of its path, else that whose
// client has sent it.
func (d *Dialects) Of(r *http.Request) Dialect {
	for i := range d.routes {
		n := &d.routes[i]
		if _, ok := n.fits(r.URL.Path); ok && n.Path != "/" && !n.lacksHeader(r) {
			return n.dialect
		}
	}
	for _, dialect := range d.all {
		if dialect.Claims(r) {
			return dialect
		}
	}
	return d.first
}

// WholeWriter is a [Writer] of answers that are never streams.
type WholeWriter func(canonical []byte) ([]byte, *failure.Failure)

// Whole implements [Writer].
func (w WholeWriter) Whole(dst, canonical []byte) ([]byte, *failure.Failure) {
	body, f := w(canonical)
	return append(dst, body...), f
}

// Events implements [Writer].
func (WholeWriter) Events(dst, canonical []byte) ([]byte, *failure.Failure) {
	return append(dst, canonical...), nil
}

// Broken implements [Writer].
func (WholeWriter) Broken(dst []byte, e wire.Error) []byte { return e.AppendEvent(dst) }

// headerEstimated marks a number of tokens that no provider has counted.
const headerEstimated = "X-Alipayai-Estimated"

// Estimate answers a request for the number of its tokens where the provider that would serve it does not count, and
// reports whether it has: before comes before the number in its answer, and "}" after it. idFields are those that have the
// call's id besides X-Request-Id.
func Estimate(g *alipayai.Gateway, w http.ResponseWriter, tenant string, rd *Reading, before string, idFields ...string) bool {
	tokens, ok := g.EstimateTokens(tenant, rd.Request, rd.Endpoint)
	if ok {
		writeEstimate(w, tokens, before, idFields...)
	}
	return ok
}

// EstimateAnyway is Estimate where the provider that would serve the request should count, but does not.
func EstimateAnyway(g *alipayai.Gateway, w http.ResponseWriter, tenant string, rd *Reading, before string, idFields ...string) {
	tokens, _ := g.EstimateTokens(tenant, rd.Request, "")
	writeEstimate(w, tokens, before, idFields...)
}

func writeEstimate(w http.ResponseWriter, tokens int64, before string, idFields ...string) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set(headerEstimated, "true")
	id := alipayai.NewRequestID()
	for _, name := range append(idFields, "X-Request-Id") {
		h.Set(name, id)
	}
	_, _ = w.Write(append(strconv.AppendInt([]byte(before), tokens, 10), '}'))
}

// NoModel makes the failure of a request for a model that is not listed.
func NoModel() *failure.Failure {
	f := failure.InvalidRequest(http.StatusNotFound, failure.CodeModelNotFound, "no provider of this gateway lists that model; GET /v1/models lists those served")
	f.Param = "model"
	return f
}
