package client

import (
	"context"

	"github.com/cyberark/conjur-api-go/conjurapi"
)

// Probe looks whether there is a server at a URL. It proves nothing to it.
func Probe(ctx context.Context, cfg conjurapi.Config, o Options) error {
	_, _, err := probe(ctx, cfg, o)
	return err
}

// probe returns the version of the wire protocol, too.
func probe(ctx context.Context, cfg conjurapi.Config, o Options) (*Session, string, error) {
	cfg.CredentialStorage = conjurapi.CredentialStorageNone
	api, err := conjurapi.NewClient(cfg)
	if err != nil {
		return nil, "", unusable(&cfg, err)
	}
	s := newSession(ctx, api, o)
	version, err := api.ServerVersionFromRoot()
	if err != nil {
		if reached := s.unreachable(err); reached != nil {
			return nil, "", reached
		}
		if version, err = api.ServerVersion(); err != nil {
			return nil, "", s.wrongURL(err)
		}
	}
	return s, version, nil
}
