package server

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"rekey/internal/config"
	"rekey/internal/core"
	"rekey/internal/webhook"
)

// webhooks reads those that the configuration names; none is no error.
func webhooks(cfg *config.Config) ([]webhook.Hook, error) {
	if cfg.Webhooks == "" {
		return nil, nil
	}
	return webhook.Read(cfg.Webhooks)
}

// toTell is what the use cases need to know of webhooks.
func toTell(hooks []webhook.Hook) (told []core.Hook) {
	for _, hook := range hooks {
		told = append(told, hook.Hook)
	}
	return told
}

// notify tells webhooks, nil if there are none, or others have to note what was told.
func (b *Backend) notify() func(context.Context) {
	if len(b.hooks) == 0 || b.cfg.ReadOnly {
		return nil
	}
	allowed := egress(b.cfg.WebhookTargets)
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if allowed.allows(address) != nil {
			return nil, fmt.Errorf("%s is not among the targets that the server's setting webhook_targets allows", address)
		}
		return allowed.dial(ctx, network, address)
	}
	sender := &webhook.Sender{Core: b.Core, Hooks: b.hooks, Dial: dial, Now: time.Now, Rand: rand.Float64, Log: b.log}
	return sender.Run
}
