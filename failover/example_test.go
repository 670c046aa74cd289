package failover_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-alipayai/gateway/failover"
)

// A provider that fails is skipped after the fourth time.
func ExampleBreakers() {
	var breakers failover.Breakers
	key := failover.Key{Tenant: "acme", Provider: "alipay"}
	rule := failover.Rule{
		Changed: func(key failover.Key, state failover.State) { fmt.Println(key.Provider, "is", state) },
	}
	for call := 1; call <= 5; call++ {
		admitted, err := breakers.Allow(context.Background(), key, rule)
		if errors.Is(err, failover.ErrOpen) {
			fmt.Println("call", call, "goes to the next provider")
			continue
		}
		admitted.Done(failover.Failure) // once the end of the call, or of its stream, is known
	}
	// Output:
	// alipay is open
	// call 5 goes to the next provider
}
