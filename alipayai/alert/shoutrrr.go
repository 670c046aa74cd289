package alert

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
	"github.com/nicholas-fedor/shoutrrr/pkg/util/jsonclient"
)

// Shoutrrr is a service that shoutrrr knows: Lark, WeCom, Teams, Telegram, mail and
// others, as a text. Shoutrrr's services know no context and make their own
// connections; one that hangs holds up this sink alone.
type Shoutrrr struct {
	name    string // of the service
	address string // a secret
	turn    chan struct{}
	service types.Service // nil until it is needed; belongs to who has the turn
}

// NewShoutrrr makes a sink of a shoutrrr address, such as
// lark://open.larksuite.com/token or smtp://user:password@host/?from=…&to=….
// Its errors do not repeat the address.
func NewShoutrrr(address string) (*Shoutrrr, error) {
	name, _, _ := strings.Cut(address, ":")
	name, _, _ = strings.Cut(strings.ToLower(name), "+")
	var services router.ServiceRouter
	// The service "logger" would write to a log that does not exist.
	if name == "logger" || !slices.Contains(services.ListServices(), name) {
		return nil, errors.New("alert shoutrrr: the address must begin with a service that shoutrrr knows, such as lark:// or smtp://")
	}
	s := &Shoutrrr{name: name, address: address, turn: make(chan struct{}, 1)}
	// Matrix logs in at once, which is too early here.
	if name != "matrix" && s.open() != nil {
		return nil, fmt.Errorf("alert shoutrrr: this is no address of the service %s", name)
	}
	return s, nil
}

// Name implements [Sink].
func (s *Shoutrrr) Name() string { return s.name }

// String keeps the address out of whatever is printed.
func (s *Shoutrrr) String() string { return s.name }

// GoString is String for %#v.
func (s *Shoutrrr) GoString() string { return s.name }

// Send implements [Sink].
func (s *Shoutrrr) Send(ctx context.Context, n Notification) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return &SendError{Reason: "the message before is still on its way"}
	}
	result := make(chan error, 1)
	go func() {
		defer func() { <-s.turn }()
		result <- s.send(n.line())
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		// It may arrive yet: sending it again could deliver it twice.
		return &SendError{Reason: "no answer in time", Final: true}
	}
}

// send hands the text over. The errors of shoutrrr hold addresses: they are not passed
// on. Nor must a service's panic end the process.
func (s *Shoutrrr) send(text string) (err error) {
	defer func() {
		if recover() != nil {
			err = &SendError{Reason: s.name + " failed", Final: true}
		}
	}()
	if err := s.open(); err != nil {
		return &SendError{Reason: s.name + " takes no login"}
	}
	err = s.service.Send(text, &types.Params{})
	var status jsonclient.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &status) && status.StatusCode >= http.StatusMultipleChoices:
		return statusFailure(status.StatusCode, "")
	}
	return &SendError{Reason: s.name + " did not take the message"}
}

func (s *Shoutrrr) open() error {
	if s.service != nil {
		return nil
	}
	var services router.ServiceRouter
	service, err := services.Locate(s.address)
	if err == nil {
		s.service = service
	}
	return err
}
