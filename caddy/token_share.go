package alipaycaddy

import (
	"errors"

	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/internal/seal"
)

// shareTokens lets replicas with the same store have the token of source in
// common. identity is what makes another token; the secret is left out, so that it
// cannot be guessed by the name that it gives in the store.
func (a *App) shareTokens(source *token.Source, logger *zap.Logger, identity ...string) {
	key := hashAll(identity)
	source.Share = a.store.tokens(a.sealing, string(key[:]))
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
