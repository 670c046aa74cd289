// Package all has every dialect of clients.
package all

import (
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/door/messages"
	"github.com/caddy-alipayai/gateway/alipayai/door/openai"
	"github.com/caddy-alipayai/gateway/alipayai/door/responses"
)

// Dialects makes those that a site speaks. What no other knows is OpenAI's.
func Dialects() *door.Dialects {
	return door.NewDialects(openai.Dialect{}, messages.Dialect{}, responses.Dialect{})
}
