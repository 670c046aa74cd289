package alert

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// shoutrrr sends through [http.DefaultClient], whose idle connections have
// goroutines.
func newShoutrrr(t *testing.T, server *service) *Shoutrrr {
	t.Helper()
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return must[*Shoutrrr](t)(NewShoutrrr("generic+" + server.URL + secretPath))
}

func TestShoutrrr(t *testing.T) {
	server := newService(t, status(http.StatusOK))
	sink := newShoutrrr(t, server)
	if sink.Name() != "generic" {
		t.Errorf("name %q", sink.Name())
	}
	for _, action := range []Action{Trigger, Resolve} {
		if err := sink.Send(t.Context(), notification(action)); err != nil {
			t.Fatal(err)
		}
	}
	if server.requests[0].URL.Path != secretPath {
		t.Errorf("sent to %s", server.requests[0].URL.Path)
	}
	for i, want := range []string{
		"[FIRING] the breaker at alipay is open (breaker_open at alipay, gw1)",
		"[RESOLVED] the breakers at alipay are closed (breaker_open at alipay, gw1, after 1m30s)",
	} {
		if got := string(server.bodies[i]); got != want {
			t.Errorf("sent %q, want %q", got, want)
		}
	}
}

func TestShoutrrrFails(t *testing.T) {
	sink := newShoutrrr(t, newService(t, status(http.StatusInternalServerError)))
	err := sink.Send(t.Context(), notification(Trigger))
	var failure *SendError
	if !errors.As(err, &failure) || failure.Final || failure.Reason != "generic did not take the message" {
		t.Errorf("error %#v", err)
	}
}

// A service that hangs is given up, not asked twice at the same time, and
// asked again when it has come back.
func TestShoutrrrHangs(t *testing.T) {
	release := make(chan struct{})
	server := newService(t, func(http.ResponseWriter, *http.Request) { <-release })
	sink := newShoutrrr(t, server)
	for i, want := range []SendError{
		{Reason: "no answer in time", Final: true},
		{Reason: "the message before is still on its way"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := sink.Send(ctx, notification(Trigger))
		cancel()
		var failure *SendError
		if !errors.As(err, &failure) || *failure != want {
			t.Errorf("attempt %d: %v", i+1, err)
		}
	}
	close(release)
	if err := sink.Send(t.Context(), notification(Resolve)); err != nil {
		t.Fatal(err)
	}
	if len(server.bodies) != 2 || !strings.HasPrefix(string(server.bodies[1]), "[RESOLVED]") {
		t.Errorf("sent %q", server.bodies)
	}
}

// Services that people use can be named at load, without any of them being asked.
func TestShoutrrrServices(t *testing.T) {
	for _, address := range []string{
		"lark://open.larksuite.com/token",
		"wecom://key",
		"telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw@telegram?chats=@channel",
		"smtp://user:password@mail.example.test:587/?from=a@example.test&to=b@example.test",
		"matrix://user:password@matrix.example.test/",
		"discord://token@id",
		"ntfy://ntfy.example.test/topic",
	} {
		if _, err := NewShoutrrr(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// Whatever address is configured, nothing panics, and no error repeats it.
func FuzzShoutrrrAddress(f *testing.F) {
	for _, seed := range []string{
		"lark://open.larksuite.com/token", "smtp://a:b@h:25/?from=a@b.c&to=c@d.e", "generic+https://h/x?@a=b",
		"discord://t@1", "gotify://h/A", "mattermost://u@h/t/c", "zulip://b:k@h/?stream=s", "ntfy://h/t?tags=a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		_, err := NewShoutrrr(address)
		if _, rest, _ := strings.Cut(address, "://"); err != nil && len(rest) > 20 && strings.Contains(err.Error(), rest) {
			t.Errorf("%v repeats %q", err, address)
		}
	})
}
