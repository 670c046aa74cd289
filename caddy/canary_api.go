package alipaycaddy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/failover/canary"
)

// canary answers GET /alipayai/canary with where all canaries are, by name, and POST with action
// (promote, rollback, pause, resume or restart) and, unless there is one alone, name in its
// query by doing that.
func (*adminAPI) canary(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	var canaries map[string]*configuredCanary
	if app := running(); app != nil {
		canaries = app.canaries
	}
	selected, err := selectCanaries(canaries, q.Get("name"))
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: err}
	}
	if r.Method == http.MethodPost {
		if err := doCanary(r.Context(), selected, canary.Action(q.Get("action"))); err != nil {
			return err
		}
	}
	reports := make(map[string]canary.Status)
	for name, c := range selected {
		reports[name] = c.Status()
	}
	return writeJSON(w, reports)
}

// selectCanaries gives the canary of that name, and all for none.
func selectCanaries(all map[string]*configuredCanary, name string) (map[string]*configuredCanary, error) {
	switch c := all[name]; {
	case len(all) == 0:
		return nil, errors.New("no canary is configured")
	case name == "":
		return all, nil
	case c == nil:
		return nil, fmt.Errorf("canary %q is not configured; use %s", name, strings.Join(slices.Sorted(maps.Keys(all)), ", "))
	default:
		return map[string]*configuredCanary{name: c}, nil
	}
}

func doCanary(ctx context.Context, selected map[string]*configuredCanary, action canary.Action) error {
	if len(selected) > 1 {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: fmt.Errorf("name one of the canaries: %s", strings.Join(slices.Sorted(maps.Keys(selected)), ", "))}
	}
	for _, c := range selected {
		err := c.Do(ctx, action)
		switch {
		case errors.Is(err, canary.ErrAction):
			return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: fmt.Errorf("%w; use promote, rollback, pause while it runs, resume while it is paused, or restart", err)}
		case err != nil:
			return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: fmt.Errorf("the canary's state cannot be changed: %w", err)}
		}
	}
	return nil
}
