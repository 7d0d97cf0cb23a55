package httpapi

import (
	"net/http"
	"strconv"

	"rekey/internal/core"
	"rekey/internal/fault"
)

func (a *api) createBranch(e *exchange) error {
	m, err := e.object()
	if err != nil {
		return err
	}
	asked, err := m.branch()
	if err != nil {
		return err
	}
	created, err := a.core.CreateBranch(e.r.Context(), e.caller, e.path[account], asked)
	if err != nil {
		return err
	}
	return e.answerV2(http.StatusCreated, appendBranch(nil, created))
}

func (m members) branch() (b core.NewBranch, err error) {
	if err = m.require("name", "branch"); err != nil {
		return b, err
	}
	if err = m.only("name", "branch", "owner", "annotations"); err != nil {
		return b, err
	}
	if b.Name, err = m.text("name"); err != nil {
		return b, err
	}
	if b.Parent, err = m.text("branch"); err != nil {
		return b, err
	}
	if b.Owner, err = m.owner(); err != nil {
		return b, err
	}
	b.Annotations, err = m.annotations()
	return b, err
}

func (a *api) showBranch(e *exchange) error {
	if err := e.query.only(); err != nil {
		return err
	}
	found, err := a.core.Branch(e.r.Context(), e.caller, e.path[account], e.path[id])
	if err != nil {
		return err
	}
	return e.answerV2(http.StatusOK, appendBranch(nil, found))
}

func (a *api) listBranches(e *exchange) error {
	if err := e.query.only("limit", "offset"); err != nil {
		return err
	}
	limit, offset, err := e.query.branchPage()
	if err != nil {
		return err
	}
	page, count, err := a.core.Branches(e.r.Context(), e.caller, e.path[account], offset, limit)
	if err != nil {
		return err
	}
	body := append([]byte(nil), `{"branches":`...)
	body = appendList(body, page, appendBranch)
	body = append(body, `,"count":`...)
	body = strconv.AppendInt(body, int64(count), 10)
	return e.answerV2(http.StatusOK, append(body, '}'))
}

// mostBranches is the longest page of branches.
const mostBranches = 1000

// branchPage reads limit and offset of a list of branches.
func (q query) branchPage() (limit, offset int, err error) {
	limit = mostBranches
	if text, ok := q.lookup("offset"); ok {
		limit = defaultLimit
		if offset, err = strconv.Atoi(text); err != nil {
			return 0, 0, fault.New(fault.Invalid, "Offset is not a number")
		}
	}
	if text, ok := q.lookup("limit"); ok {
		if limit, err = strconv.Atoi(text); err != nil {
			return 0, 0, fault.New(fault.Invalid, "Limit is not a number")
		}
	}
	switch {
	case limit < 0:
		err = fault.New(fault.Invalid, "Limit must be greater than or equal to 0")
	case limit > mostBranches:
		err = fault.New(fault.Invalid, "Limit must be less than or equal to %d", mostBranches)
	case offset < 0:
		err = fault.New(fault.Invalid, "Offset must be greater than or equal to 0")
	}
	return limit, offset, err
}

func (a *api) updateBranch(e *exchange) error {
	m, err := e.object()
	if err != nil {
		return err
	}
	if err := m.only("owner", "annotations"); err != nil {
		return err
	}
	var asked core.BranchUpdate
	if asked.Owner, err = m.owner(); err != nil {
		return err
	}
	if asked.Annotations, err = m.annotations(); err != nil {
		return err
	}
	updated, err := a.core.UpdateBranch(e.r.Context(), e.caller, e.path[account], e.path[id], asked)
	if err != nil {
		return err
	}
	return e.answerV2(http.StatusOK, appendBranch(nil, updated))
}

func (a *api) deleteBranch(e *exchange) error {
	if err := e.query.only(); err != nil {
		return err
	}
	if err := a.core.DeleteBranch(e.r.Context(), e.caller, e.path[account], e.path[id]); err != nil {
		return err
	}
	return e.empty(http.StatusNoContent)
}

func appendBranch(to []byte, b core.Branch) []byte {
	to = append(to, `{"name":`...)
	to = appendString(to, b.Name())
	to = append(to, `,"branch":`...)
	to = appendString(to, b.Parent())
	to = append(to, `,"owner":`...)
	to = appendSubject(to, core.SubjectOf(b.Owner))
	to = append(to, `,"annotations":`...)
	to = appendAnnotations(to, b.Annotations)
	return append(to, '}')
}
