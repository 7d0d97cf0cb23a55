package client

import (
	"context"

	"github.com/cyberark/conjur-api-go/conjurapi"
)

// Probe looks whether there is a server at a URL. It proves nothing to it.
func Probe(ctx context.Context, cfg conjurapi.Config, o Options) error {
	cfg.CredentialStorage = conjurapi.CredentialStorageNone
	api, err := conjurapi.NewClient(cfg)
	if err != nil {
		return unusable(&cfg, err)
	}
	s := newSession(ctx, api, o)
	if _, err := api.ServerVersionFromRoot(); err != nil {
		if reached := s.unreachable(err); reached != nil {
			return reached
		}
		if _, err := api.ServerVersion(); err != nil {
			return s.wrongURL(err)
		}
	}
	return nil
}
