package failure

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

func TestClassify(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		code   string
		want   Class
		shown  int // status that a client sees
	}{
		"system error in a 200":         {200, "SYSTEM_ERROR", SystemError, 502},
		"system error in a 500":         {500, "SYSTEM_ERROR", SystemError, 500},
		"v3's unknown error":            {200, "unknow-error", SystemError, 502},
		"v2's unavailable":              {200, "20000", SystemError, 502},
		"throttled in a 200":            {200, "REQUEST_TRAFFIC_EXCEED_LIMIT", Throttle, 429},
		"throttled without a code":      {429, "", Throttle, 429},
		"app's limit":                   {400, "app-call-limited", Throttle, 400},
		"expired token":                 {401, "EXPIRED_ACCESS_TOKEN", RefreshToken, 502},
		"expired token in a 200":        {200, "EXPIRED_ACCESS_TOKEN", RefreshToken, 502},
		"system error in a 401":         {401, "SYSTEM_ERROR", SystemError, 502},
		"a 401 of any kind":             {401, "whatever", RefreshToken, 502},
		"grant gone":                    {401, "app-auth-token-time-out", Reauthorise, 502},
		"clock":                         {401, "INVALID_REQUEST_TIME", Resign, 502},
		"clock, v2":                     {200, "invalid-timestamp", Resign, 502},
		"signature":                     {401, "INVALID_SIGNATURE", Fail, 502},
		"key version":                   {401, "INVALID_KEY_VERSION", Fail, 502},
		"permission, v2":                {200, "40006", Fail, 502},
		"compliance":                    {403, "COMPLIANCE_BLOCKED", Blocked, 403},
		"compliance in a 200":           {200, "COMPLIANCE_BLOCKED", Blocked, 403},
		"content filter of OpenAI":      {400, "content_filter", Blocked, 400},
		"500":                           {500, "", Retry, 500},
		"502":                           {502, "", Retry, 502},
		"503":                           {503, "x", Retry, 503},
		"504":                           {504, "", Retry, 504},
		"501":                           {501, "", Retry, 501},
		"bad request":                   {400, "PARAM_ILLEGAL", Fail, 400},
		"a failure in a 200":            {200, "PARAM_ILLEGAL", Fail, 502},
		"not found":                     {404, "MODEL_NOT_FOUND", Fail, 404},
		"forbidden without a word":      {403, "", Fail, 502},
		"forbidden by a word":           {403, "whatever", Fail, 403},
		"forbidden for its credentials": {403, "ACCESS_DENIED", Fail, 502},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ClassOf(test.status, test.code); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
			if got := statusOf(test.status, test.want, test.code); got != test.shown {
				t.Errorf("the client sees %d, want %d", got, test.shown)
			}
		})
	}
}

// What becomes a metric's label is one of the codes that the gateway knows.
func TestKnown(t *testing.T) {
	for code, want := range map[string]string{
		"": "", "SYSTEM_ERROR": "SYSTEM_ERROR", "INVALID_SIGNATURE": "INVALID_SIGNATURE", CodeTimeout: CodeTimeout,
		CodeModelNotFound: CodeModelNotFound, CodeClientGone: CodeClientGone, wire.CodeDuplicateKey: wire.CodeDuplicateKey,
		"made-up": "other", "system_error": "other", "SYSTEM_ERROR\n": "other",
	} {
		if got := Known(code); got != want {
			t.Errorf("%q: %q, want %q", code, got, want)
		}
	}
}

// Each code of the gateway's own is one of them.
func TestOwnCodesAreKnown(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	codes := 0
	ast.Inspect(file, func(n ast.Node) bool {
		declared, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(declared.Names[0].Name, "Code") {
			return true
		}
		codes++
		if code, err := strconv.Unquote(declared.Values[0].(*ast.BasicLit).Value); err != nil || Known(code) != code {
			t.Errorf("%s is a metric's label %q (%v): it is missing in own", declared.Names[0], Known(code), err)
		}
		return false
	})
	if codes < 40 {
		t.Errorf("only %d codes were found", codes)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "60": time.Minute, "61": time.Minute, "4294967295": time.Minute,
		"99999999999999999999": time.Minute, "-1": 0, "1.5": 1500 * time.Millisecond, "soon": 0, "1e1": 0, "0x10": 0, "inf": 0, "1.2.3": 0, " 7 ": 7 * time.Second,
		now.Add(20 * time.Second).Format(http.TimeFormat): 20 * time.Second,
		now.Add(time.Hour).Format(http.TimeFormat):        time.Minute,
		now.Add(-time.Hour).Format(http.TimeFormat):       0,
	} {
		if got := RetryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

// A rule goes by the HTTP status where the upstream sends no word of its own, and only there.
func TestRulesOfStatuses(t *testing.T) {
	rules := []Rule{{Pattern: "412", Class: AccountExhausted}, {Pattern: "50?", Class: SystemError}}
	for name, test := range map[string]struct {
		status int
		f      wire.Failure
		want   Class
	}{
		"a status":             {412, wire.Failure{Message: "m"}, AccountExhausted},
		"by a pattern":         {503, wire.Failure{}, SystemError},
		"another":              {413, wire.Failure{}, Fail},
		"beside a code":        {412, wire.Failure{Code: "C"}, Fail},
		"beside a type":        {503, wire.Failure{Type: "rate_limit_error"}, Throttle},
		"a number as the code": {200, wire.Failure{Code: "412"}, AccountExhausted},
		"in a success":         {200, wire.Failure{Message: "m"}, Retry},
	} {
		t.Run(name, func(t *testing.T) {
			code, class := Classify(test.status, &test.f, rules)
			if class != test.want || code != test.f.Code+test.f.Type {
				t.Errorf("%q, %s; want %s", code, class, test.want)
			}
		})
	}
}

// A code of credentials is not outweighed by what its message says, and a time-out is named by code or type, by a message
// only in a failure of the server's, and not beside a code that is known.
func TestWhatDecides(t *testing.T) {
	for name, test := range map[string]struct {
		status   int
		f        wire.Failure
		want     Class
		timedOut bool
	}{
		"a phrase":                        {400, wire.Failure{Code: "invalid_request_error", Message: "Insufficient Balance"}, AccountExhausted, false},
		"a phrase beside credentials":     {403, wire.Failure{Code: "ACCESS_DENIED", Message: "Content Exists Risk"}, Fail, false},
		"an empty account beside them":    {403, wire.Failure{Code: "ACCESS_DENIED", Message: "Insufficient Balance"}, AccountExhausted, false},
		"a time-out as the code":          {500, wire.Failure{Code: "RequestTimeOut"}, Retry, true},
		"a time-out as the type":          {500, wire.Failure{Code: "internal", Type: "timeout_error"}, Retry, true},
		"a time-out in the message":       {500, wire.Failure{Code: "internal", Message: "deadline exceeded"}, Retry, true},
		"a request of a time-out":         {400, wire.Failure{Code: "invalid", Message: "timeout must be a number"}, Fail, false},
		"a known code with a time-out":    {500, wire.Failure{Code: "SYSTEM_ERROR", Type: "timeout"}, SystemError, false},
		"a status of a time-out":          {408, wire.Failure{Message: "m"}, Retry, true},
		"a number of a time-out in a 200": {200, wire.Failure{Code: "504"}, Retry, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := OfUpstream(test.status, nil, &test.f, nil, false, time.Now())
			if f.Class != test.want || f.timedOut != test.timedOut {
				t.Errorf("class %s, timed out %t; want %s, %t", f.Class, f.timedOut, test.want, test.timedOut)
			}
		})
	}
}

// Google's RetryInfo stands in where there is no Retry-After, bounded as that is.
func TestRetryInfo(t *testing.T) {
	info := func(kind, delay string) string {
		return `{"error":{"code":429,"message":"m","details":[{"@type":"type.googleapis.com/google.rpc.Help"},{"@type":"` + kind + `","retryDelay":` + delay + `}]}}`
	}
	const kind = "type.googleapis.com/google.rpc.RetryInfo"
	for name, test := range map[string]struct {
		body, header string
		want         time.Duration
	}{
		"seconds":           {info(kind, `"7s"`), "", 7 * time.Second},
		"a part of one":     {info(kind, `"0.25s"`), "", 250 * time.Millisecond},
		"in a list":         {"[" + info(kind, `"7s"`) + "]", "", 7 * time.Second},
		"beside the header": {info(kind, `"7s"`), "3", 3 * time.Second},
		"too long":          {info(kind, `"86400s"`), "", time.Minute},
		"endless":           {info(kind, `"1e300s"`), "", time.Minute},
		"infinite":          {info(kind, `"Infs"`), "", time.Minute},
		"none":              {info(kind, `"NaNs"`), "", 0},
		"negative":          {info(kind, `"-7s"`), "", 0},
		"without its unit":  {info(kind, `"7"`), "", 0},
		"a number":          {info(kind, `7`), "", 0},
		"an object":         {info(kind, `{"seconds":7}`), "", 0},
		"of another kind":   {info("type.example.com/RetryInfoOfOurs", `"7s"`), "", 0},
		"no list":           {`{"error":{"code":429,"message":"m","details":{"@type":"` + kind + `","retryDelay":"7s"}}}`, "", 0},
		"a list of texts":   {`{"error":{"code":429,"message":"m","details":["RetryInfo",7,null]}}`, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := wire.ParseBody([]byte(test.body), wire.Limits{})
			if err != nil || parsed.Failure == nil {
				t.Fatalf("%+v, %v", parsed, err)
			}
			h := make(http.Header)
			if test.header != "" {
				h.Set("Retry-After", test.header)
			}
			f := OfUpstream(429, h, parsed.Failure, nil, false, time.Now())
			if f.RetryAfter != test.want || f.Class != Throttle || f.Message != "m" {
				t.Errorf("%v, class %s, %q; want %v", f.RetryAfter, f.Class, f.Message, test.want)
			}
		})
	}
}

// The code of a failure that is the operator's business alone reaches the client where
// it is a word, and not where it says more.
func TestCodesOfTheOperatorsBusiness(t *testing.T) {
	for code, want := range map[string]string{
		"insufficient_quota": "insufficient_quota",
		"Arrearage":          "Arrearage",
		"1113":               "1113",
		"Zz.Aa_09-x:y":       "Zz.Aa_09-x:y",
		"acct org-acme balance 0.00 CNY owner bob@acme.example": "",
		"bob@acme.example": "",
	} {
		f := OfUpstream(http.StatusPaymentRequired, nil, &wire.Failure{Code: code, Message: "of bob"}, nil, false, time.Now())
		if f.Code != want || f.Message != "the provider refuses the gateway's account" {
			t.Errorf("%q: code %q, message %q", code, f.Code, f.Message)
		}
	}
}

// What the gateway says by itself: how a client is answered, whether it may repeat the call, whether another provider may serve
// it, and whether it says something of the provider.
func TestFailuresOfTheGatewaysOwn(t *testing.T) {
	cause := errors.New("why")
	for name, test := range map[string]struct {
		f                            *Failure
		status                       int
		code                         string
		noRetry, fallsOver, provider bool
		wait                         time.Duration
	}{
		"a bad request":  {InvalidRequest(http.StatusBadRequest, "c", "m"), 400, "c", false, false, false, 0},
		"not served":     {Unavailable("c", "m"), 503, "c", false, true, false, time.Second},
		"not configured": {Misconfigured("c", "m", cause), 503, "c", true, true, false, 0},
		"no token":       {Unavailable(CodeTokenUnavailable, "m"), 503, CodeTokenUnavailable, false, true, true, time.Second},
		"a limit":        {Limited("c", "m", time.Minute), 429, "c", false, true, false, time.Minute},
		"an answer":      {BadAnswer(CodeMalformed, "m"), 502, CodeMalformed, true, true, true, 0},
		"not supported":  {InvalidRequest(http.StatusBadRequest, CodeUnsupported, "m"), 400, CodeUnsupported, false, false, true, 0},
		"no claim":       {Unavailable(CodeIdempotencyUnavailable, "m"), 503, CodeIdempotencyUnavailable, false, false, false, time.Second},
		"no consent":     {AuthorisationRequired("https://gw.example/a"), 403, CodeAuthorisationRequired, false, false, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := test.f
			if f.Status != test.status || f.Code != test.code || f.NoRetry != test.noRetry || f.RetryAfter != test.wait || f.FallsOver() != test.fallsOver || f.AtProvider() != test.provider {
				t.Errorf("%+v, falls over %t, at its provider %t", f, f.FallsOver(), f.AtProvider())
			}
			if f.Message == "" || f.FromUpstream || f.Reason() != test.code {
				t.Errorf("message %q, from upstream %t, reason %q", f.Message, f.FromUpstream, f.Reason())
			}
		})
	}
	if f := Misconfigured("c", "m", cause); f.Cause != cause { //nolint:errorlint // it is this very one
		t.Errorf("cause %v", f.Cause)
	}
	if f := AuthorisationRequired("https://gw.example/a"); f.AuthorisationURL != "https://gw.example/a" || !strings.Contains(f.Message, "authorisation_url") {
		t.Errorf("%q at %q", f.Message, f.AuthorisationURL)
	}
	if f := AuthorisationRequired(""); f.AuthorisationURL != "" || strings.Contains(f.Message, "authorisation_url") {
		t.Errorf("%q at %q", f.Message, f.AuthorisationURL)
	}
	// A vendor's word is none of the gateway's.
	own, vendors := Limited(CodeTenantBudget, "m", 0), OfUpstream(429, nil, &wire.Failure{Code: CodeTenantBudget}, nil, false, time.Now())
	if !own.OverBudget() || vendors.OverBudget() {
		t.Errorf("over its tenant's budget: %t, by a vendor's word %t", own.OverBudget(), vendors.OverBudget())
	}
}
