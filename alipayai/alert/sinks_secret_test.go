package alert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/heldport"
)

// Addresses are secrets: no error, log line or printed value has them.
func TestAddressesStaySecret(t *testing.T) {
	closed := "http://" + heldport.Addr(t)
	slow := newService(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	log, logs := testLogger()
	var printed bytes.Buffer
	for _, base := range []string{closed, slow.URL, "http://user:s3cretpath@127.0.0.1:1"} {
		for _, sink := range []Sink{
			must[*Slack](t)(NewSlack(base + secretPath)),
			must[*PagerDuty](t)(NewPagerDuty("s3cretpath0000000000000000000000", base+secretPath)),
			must[*Webhook](t)(NewWebhook(base + secretPath + "?token=s3cretpath")),
			must[*Shoutrrr](t)(NewShoutrrr("generic+" + base + secretPath)),
		} {
			fmt.Fprintf(&printed, "%v %+v %#v %s\n", sink, sink, sink, sink)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			err := sink.Send(ctx, notification(Trigger))
			cancel()
			if err == nil {
				t.Errorf("%s sent to %s", sink.Name(), base)
				continue
			}
			fmt.Fprintln(&printed, err)
			// And as an alert that failed for good.
			a := New(NewState(), Options{Logger: log, Sinks: []Sink{&fakeSink{name: sink.Name(), send: func(context.Context, Notification) error {
				if _, known := errors.AsType[*SendError](err); !known {
					t.Errorf("%s failed with %T", sink.Name(), err)
				}
				return &SendError{Reason: err.Error(), Final: true}
			}}}})
			a.Raise(StoreLost, "alipay", "lost")
			flush(t, a)
		}
	}
	slow.CloseClientConnections()
	for _, entry := range logs.All() {
		fmt.Fprintln(&printed, entry.Message, entry.ContextMap())
	}
	if n := logs.FilterMessage("alert could not be sent").Len(); n != 12 {
		t.Errorf("%d failures are in the log", n)
	}
	if strings.Contains(printed.String(), "s3cretpath") {
		t.Errorf("printed %s", printed.String())
	}
}

func TestAddressesAreChecked(t *testing.T) {
	slack := func(address string) error { _, err := NewSlack(address); return err }
	webhook := func(address string) error { _, err := NewWebhook(address); return err }
	pagerduty := func(key string) error { _, err := NewPagerDuty(key, ""); return err }
	shoutrrr := func(address string) error { _, err := NewShoutrrr(address); return err }
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"slack, no URL":            {slack("s3cret"), "alert slack: the address must be a URL"},
		"slack, control":           {slack("https://s3cret\x7f/"), "alert slack: the address must be a URL"},
		"webhook, no host":         {webhook("https:///s3cret"), "alert webhook: the address must be a URL"},
		"webhook, another scheme":  {webhook("ftp://s3cret/"), "alert webhook: the address must be a URL"},
		"pagerduty, short key":     {pagerduty("s3cret"), "alert pagerduty: the routing key must be"},
		"pagerduty, odd key":       {pagerduty("s3cret-23456789012345678901234567"[:32]), "alert pagerduty: the routing key must be"},
		"shoutrrr, no service":     {shoutrrr("s3cret"), "alert shoutrrr: the address must begin with a service"},
		"shoutrrr, another":        {shoutrrr("s3cret://s3cret"), "alert shoutrrr: the address must begin with a service"},
		"shoutrrr, the log":        {shoutrrr("logger://"), "alert shoutrrr: the address must begin with a service"},
		"shoutrrr, a bad address":  {shoutrrr("telegram://s3cret"), "alert shoutrrr: this is no address of the service telegram"},
		"shoutrrr, broken address": {shoutrrr("lark://s3cret\x7f"), "alert shoutrrr: this is no address of the service lark"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.err == nil || !strings.HasPrefix(tc.err.Error(), tc.want) {
				t.Fatalf("error %v, want %q", tc.err, tc.want)
			}
			if strings.Contains(tc.err.Error(), "s3cret") {
				t.Errorf("%v repeats the address", tc.err)
			}
		})
	}
}

// A proxy that the environment names is used. The environment is read once in a
// process, so that this needs one of its own.
func TestProxy(t *testing.T) {
	const variable = "ALERT_TEST_PROXY_CHILD"
	if os.Getenv(variable) != "" {
		err := must[*Webhook](t)(NewWebhook("http://alerts.example.test/hook")).Send(t.Context(), notification(Trigger))
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	proxy := newService(t, status(http.StatusOK))
	child := exec.Command(os.Args[0], "-test.run=^TestProxy$")
	child.Env = append(os.Environ(), variable+"=1", "HTTP_PROXY="+proxy.URL, "NO_PROXY=")
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if r, _ := proxy.only(t); r.URL.String() != "http://alerts.example.test/hook" {
		t.Errorf("the proxy was asked for %s", r.URL)
	}
}
