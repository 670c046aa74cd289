package alipaycaddy

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/internal/seal"
)

// shareTokens lets replicas with the same store have the token of source in
// common. identity is what makes
// another token; the secret is left out, so that it cannot be guessed by the
// name that it gives in Redis.
func (a *App) shareTokens(source *token.Source, store *storeState, logger *zap.Logger, identity ...string) {
	if store.client == nil {
		return
	}
	key := hashAll(identity)
	source.Share = token.NewRedis(store.client, string(key[:]), a.sealing, time.Now)
	source.OnShare = func(err error) {
		switch {
		case err == nil:
			logger.Info("access tokens are shared again")
		case errors.Is(err, seal.ErrSealed):
			logger.Error("shared access token is not used: do all replicas have the same encryption_key?", zap.Error(err))
		default:
			logger.Error("access tokens are not shared at present", zap.Error(err))
		}
	}
}
