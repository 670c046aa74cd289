package alipayai_test

import (
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// documentedCodes gives the classes of codes as the table of README.md has them.
func documentedCodes(t *testing.T) map[string]failure.Class {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Failure codes\n")
	_, table, found := strings.Cut(section, "| action | codes |\n|---|---|\n")
	if !found {
		t.Fatal("README.md has no table of codes")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	word := regexp.MustCompile("`([^`]+)`")
	codes := make(map[string]failure.Class)
	var class failure.Class
	for row := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(row, "|")
		if name := word.FindStringSubmatch(cells[1]); name != nil {
			class = failure.Class(name[1])
		}
		for _, code := range word.FindAllStringSubmatch(cells[2], -1) {
			if code[1] != "Payment-Needed" && !strings.Contains(code[1], "*") {
				codes[code[1]] = class
			}
		}
	}
	if len(codes) < 30 {
		t.Fatalf("only %d codes are documented", len(codes))
	}
	return codes
}

// wantClass makes a call that meets the fault and holds that its first attempt was of that class.
func wantClass(t *testing.T, r *rig, fault sandbox.Fault, body string, want failure.Class) {
	t.Helper()
	r.set(fault)
	r.provider.Hold = new(upstream.Hold) // nor is one call held for another's
	r.seen.mu.Lock()
	before := len(r.seen.classes)
	r.seen.mu.Unlock()
	r.post(chatPath, body)
	r.outcome()
	r.seen.mu.Lock()
	defer r.seen.mu.Unlock()
	if len(r.seen.classes) == before || r.seen.classes[before] != want {
		t.Errorf("%+v: class %v, want %s", fault, r.seen.classes[before:], want)
	}
}

// TestFailuresEndInTheirClass has the simulator answer each code that is documented, in each shape and place.
func TestFailuresEndInTheirClass(t *testing.T) {
	r := newRig(t, sandbox.Config{}, money) // each failure is met once
	for code, class := range documentedCodes(t) {
		for _, shape := range []sandbox.Shape{sandbox.ShapeAlipay, sandbox.ShapeOpenAI, sandbox.ShapeOpenRouter, sandbox.ShapeChoice, sandbox.ShapeGlobal, sandbox.ShapeAnthropic} {
			want := class
			if shape == sandbox.ShapeGlobal && class == failure.Retry { // it says resultStatus U with each code
				want = failure.SystemError
			}
			for body, kind := range map[string]sandbox.Kind{chatBody("hello"): sandbox.SystemError200, streamBody("hello"): sandbox.SystemErrorFirst} {
				wantClass(t, r, sandbox.Fault{Kind: kind, Code: code, Shape: shape, Times: 1}, body, want)
			}
		}
	}
}

// TestStatusesEndInTheirClass has statuses: of the answer, and in place of a code in a 200.
func TestStatusesEndInTheirClass(t *testing.T) {
	r := newRig(t, sandbox.Config{}, money) // each failure is met once
	for status := 400; status < 600; status++ {
		want := failure.Fail
		switch {
		case status == http.StatusUnauthorized:
			want = failure.RefreshToken
		case status == http.StatusPaymentRequired:
			want = failure.AccountExhausted
		case status == http.StatusTooManyRequests:
			want = failure.Throttle
		case slices.Contains([]int{408, 421, 424, 425, 498, 499}, status), status >= 500: // which are not of the request
			want = failure.Retry
		}
		code := strconv.Itoa(status)
		for _, shape := range []sandbox.Shape{sandbox.ShapeOpenRouter, sandbox.ShapeChoice, sandbox.ShapeVLLM, sandbox.ShapeGoogle} {
			wantClass(t, r, sandbox.Fault{Kind: sandbox.SystemErrorFirst, Code: code, Shape: shape, Times: 1}, streamBody("hello"), want)
		}
		for _, shape := range []sandbox.Shape{sandbox.ShapeText, sandbox.ShapeFastAPI, sandbox.ShapeOllama} {
			wantClass(t, r, sandbox.Fault{Kind: sandbox.HTTPStatus, Status: status, Shape: shape, Code: "X", Times: 1}, chatBody("hello"), want)
		}
	}
}
