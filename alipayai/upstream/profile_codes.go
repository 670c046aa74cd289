package upstream

import (
	"net/http"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
)

// SlowDownHold is how long Ant Ling is throttling after it has answered 503
// with "Slow Down": at least 15 minutes, as its documentation has it.
const SlowDownHold = 15 * time.Minute

// antLingCodes are what Ant Ling says in the message alone.
var antLingCodes = []failure.Rule{
	{Pattern: "*", Status: http.StatusServiceUnavailable, Message: "Slow Down", Class: failure.Throttle, Hold: SlowDownHold},
}

// portkeyCodes are Portkey's statuses: https://portkey.ai/docs/api-reference/inference-api/error-codes.
var portkeyCodes = []failure.Rule{
	{Pattern: "412", Class: failure.AccountExhausted}, // budget exhausted
	{Pattern: "446", Class: failure.Blocked},          // guardrail checks failed
}

// mistralCodes are Mistral's numbers. Those of four digits elsewhere are GLM's, which
// mean something else by them.
var mistralCodes = []failure.Rule{
	{Pattern: "1300", Class: failure.Throttle}, // rate_limited
	{Pattern: "3505", Class: failure.Throttle}, // service_tier_capacity_exceeded
	failure.ByStatus("[0-9][0-9][0-9][0-9]"),   // 1000 is internal_server_error, and internal_error_proxy with a 422
}
