package alert

import (
	"context"
	"fmt"
	"strings"
)

// Slack is an incoming webhook of Slack, and of what speaks its format.
type Slack struct{ endpoint }

// NewSlack makes a sink of the webhook's address, which Slack gives as
// https://hooks.slack.com/services/T…/B…/….
func NewSlack(address string) (*Slack, error) {
	e, err := newEndpoint("slack", address)
	if err != nil {
		return nil, err
	}
	return &Slack{e}, nil
}

// slackMessage is the body that Slack's "Sending messages using incoming
// webhooks" describes: text for notifications and old clients, and an attachment,
// whose colour is a bar beside its blocks (Block Kit).
type slackMessage struct {
	Text        string            `json:"text"`
	Attachments []slackAttachment `json:"attachments"`
}

type slackAttachment struct {
	Color  string       `json:"color"`
	Blocks []slackBlock `json:"blocks"`
}

// slackBlock is a section, which has a text, or a context, which has elements.
type slackBlock struct {
	Type     string      `json:"type"`
	Text     *slackText  `json:"text,omitempty"`
	Elements []slackText `json:"elements,omitempty"`
}

type slackText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// slackEscapes are the three characters that Slack's "Formatting text for app
// surfaces" wants escaped.
var slackEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// maxSlackText is below the 3000 characters of a section's text, also when each is escaped.
const maxSlackText = 500

// Send implements [Sink].
func (s *Slack) Send(ctx context.Context, n Notification) error {
	color, title := "#d32f2f", ":rotating_light: *Firing*: "
	if n.Action == Resolve {
		color, title = "#2e7d32", ":white_check_mark: *Resolved*: "
	}
	markdown := func(text string) slackText { return slackText{"mrkdwn", text} }
	summary := markdown(title + slackEscapes.Replace(atMost(maxSlackText, n.Summary)))
	// Slack shows <!date^…> in the reader's own time zone.
	details := fmt.Sprintf("`%s` at `%s` | %s | since <!date^%d^{date_short_pretty} {time_secs}|%s>",
		n.Kind, slackEscapes.Replace(atMost(maxSlackText, n.Provider)), slackEscapes.Replace(atMost(maxSlackText, n.Source)),
		n.Since.Unix(), n.Since.UTC().Format("2006-01-02 15:04:05 UTC"))
	return s.post(ctx, slackMessage{
		Text: slackEscapes.Replace(atMost(3*maxSlackText, n.line())),
		Attachments: []slackAttachment{{Color: color, Blocks: []slackBlock{
			{Type: "section", Text: &summary},
			{Type: "context", Elements: []slackText{markdown(details)}},
		}}},
	})
}
