package alipayai

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/failover"
)

// listModels answers GET /v1/models with the union over the providers that may serve the tenant's calls:
// the models that a provider is configured to serve or, where it serves any,
// those that its upstream lists, and the names that it has for some of them. Only when none of these can say anything does
// the call fail, with the first one's failure.
func (c *call) listModels() (*Answer, *failure.Failure) {
	var models modelList
	var failed *failure.Failure
	answered, unasked := false, 0
	for _, p := range c.g.Providers {
		if c.at(p).listsModels() {
			unasked++
		}
	}
	for _, p := range c.g.Providers {
		if !p.Within(c.tenancy.regions) {
			continue // no call of the tenant's goes there
		}
		for _, alias := range slices.Sorted(maps.Keys(p.ModelMap)) {
			if p.Serves(upstream.EndpointChat, alias) {
				models.add(p, alias)
			}
		}
		if len(p.Models) > 0 {
			answered = true
			models.add(p, p.Models...)
			continue
		}
		if !p.Has(upstream.EndpointModels) {
			answered = true // it serves what it is asked for
			continue
		}
		c.shareTime(unasked)
		unasked--
		if (answered || failed != nil) && c.g.Now().After(c.latest()) {
			break
		}
		upstream, f := c.at(p).models()
		if f != nil {
			if f.ClientGone {
				return nil, f
			}
			if failed == nil {
				failed = f
			}
			continue
		}
		answered = true
		models.add(p, upstream...)
	}
	if !answered && failed != nil {
		return nil, failed
	}
	return &Answer{
		Status: http.StatusOK, header: http.Header{"Content-Type": jsonType}, body: bytes.NewBuffer(wire.AppendModels(nil, models.models)),
	}, nil
}

// modelList is a union of models, each as the first provider that has it. Its zero value is empty.
type modelList struct {
	models []wire.Model
	has    map[string]bool
}

// add adds p's models of these names.
func (l *modelList) add(p *upstream.Provider, names ...string) {
	for _, name := range names {
		if l.has[name] {
			continue
		}
		if l.has == nil {
			l.has = make(map[string]bool)
		}
		l.has[name] = true
		l.models = append(l.models, wire.Model{ID: name, OwnedBy: p.Name})
	}
}

// listsModels reports whether p is asked which models it has.
func (q at) listsModels() bool {
	return q.p.Within(q.tenancy.regions) && len(q.p.Models) == 0 && q.p.Has(upstream.EndpointModels)
}

// shareTime gives the next of some providers its part of the time that the client still waits.
func (c *call) shareTime(unasked int) {
	if c.Waits == 0 {
		return
	}
	now, end := c.g.Now(), c.Received.Add(min(c.Waits, c.g.Deadline))
	c.route.by = now.Add(end.Sub(now) / time.Duration(unasked))
}

// models asks p for its models.
func (q at) models() ([]string, *failure.Failure) {
	q.outcome.Provider = q.p.Name
	admitted, f := q.allowed()
	if f != nil {
		return nil, f
	}
	// A list of models says nothing of how calls fare.
	defer admitted.Done(failover.Ignored)
	a, f := q.ask(false)
	if f != nil {
		return nil, f
	}
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.Unmarshal(a.body.Bytes(), &list); err != nil {
		return nil, failure.BadAnswer(failure.CodeMalformed, "the provider's list of models is not in OpenAI's form")
	}
	ids := make([]string, 0, len(list.Data))
	for _, m := range list.Data {
		if m.ID != "" {
			ids = append(ids, m.ID)
		}
	}
	return ids, nil
}

// listOf gives a list of models in OpenAI's form: Together's, and those of some others, are a bare array
// (https://github.com/odysseus-dev/odysseus/issues/2202). An array of errors is Google's.
func listOf(body []byte) []byte {
	var models []struct{ ID string }
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) || json.Unmarshal(body, &models) != nil || len(models) > 0 && models[0].ID == "" {
		return body
	}
	return slices.Concat([]byte(`{"data":`), body, []byte("}"))
}

// pictureTokens are those of an image whose price says nothing: https://docs.claude.com/en/docs/build-with-claude/vision.
const pictureTokens = 1600

// EstimateTokens estimates how many tokens a chat request's prompt has at the provider that would serve it, which is none outside
// of the tenant's regions: its texts by what texts have taken there before, and each image as many as the model's price says. ok is
// false where that one counts itself, at the endpoint counts.
func (g *Gateway) EstimateTokens(tenant string, r wire.Request, counts upstream.Endpoint) (tokens int64, ok bool) {
	estimate, picture, regions := new(price.Estimate), int64(0), g.Residency.Of(tenant)
	for _, p := range g.Providers {
		if !p.Serves(upstream.EndpointChat, r.Model) || !p.Within(regions) {
			continue
		}
		if p.Has(counts) {
			return 0, false
		}
		if g.Spending != nil {
			estimate = g.Spending.Providers[p.Name].Estimate
			if own := g.Spending.Providers[p.Name].Of(p.UpstreamModel(r.Model)); own != nil {
				picture = own.ImageTokens
			}
		}
		break
	}
	return estimate.Tokens(textOf(r)) + int64(r.Images)*cmp.Or(picture, pictureTokens), true
}
