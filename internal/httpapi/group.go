package httpapi

import (
	"net/http"
	"strings"

	"rekey/internal/core"
)

func (a *api) addGroupMember(e *exchange) error {
	m, err := e.object()
	if err != nil {
		return err
	}
	if err := m.require("kind", "id"); err != nil {
		return err
	}
	asked, err := m.subject()
	if err != nil {
		return err
	}
	if err := a.core.AddGroupMember(e.r.Context(), e.caller, e.path[account], e.path[id], asked); err != nil {
		return err
	}
	asked.ID = strings.TrimPrefix(asked.ID, "/")
	return e.answerV2(http.StatusCreated, appendSubject(nil, asked))
}

func (a *api) removeGroupMember(e *exchange) error {
	if err := e.query.only(); err != nil {
		return err
	}
	removed := core.Subject{Kind: e.path[kind], ID: e.path[member]}
	if err := a.core.RemoveGroupMember(e.r.Context(), e.caller, e.path[account], e.path[id], removed); err != nil {
		return err
	}
	return e.empty(http.StatusNoContent)
}
