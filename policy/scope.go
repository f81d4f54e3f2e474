package policy

import (
	"github.com/cedar-policy/cedar-go"
	cedarast "github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// Most of what a decision took was to find out of each policy that it speaks of somebody else. Its scope (who, what) is therefore looked at here, where that
// is a comparison of names, and cedar evaluates the conditions of those alone that are about the question. Whoever is in a team, and a column in a class,
// is that directly: neither is in anything else.

// matches tells whether a policy's scope has an entity in it, as cedar would.
func matches(scope ast.IsScopeNode, e *types.Entity) bool {
	within := func(uid types.EntityUID) bool { return e.UID == uid || e.Parents.Contains(uid) }
	switch s := scope.(type) {
	case ast.ScopeTypeAll:
		return true
	case ast.ScopeTypeEq:
		return e.UID == s.Entity
	case ast.ScopeTypeIn:
		return within(s.Entity)
	case ast.ScopeTypeIs:
		return e.UID.Type == s.Type
	case ast.ScopeTypeIsIn:
		return e.UID.Type == s.Type && within(s.Entity)
	}
	return false // the schema knows no other
}

// unscoped is a policy whose scope is everything.
func unscoped(p *ast.Policy) *cedar.Policy {
	open := *p
	open.Principal, open.Action, open.Resource = ast.ScopeTypeAll{}, ast.ScopeTypeAll{}, ast.ScopeTypeAll{}
	return cedar.NewPolicyFromAST((*cedarast.Policy)(&open))
}

// about are those of an action's policies whose scope has this principal and this resource in it.
func (ps policies) about(principal, resource types.Entity) policies {
	out := make(policies, 0, len(ps))
	for _, r := range ps {
		if matches(r.scoped.Principal, &principal) && matches(r.scoped.Resource, &resource) {
			out = append(out, r)
		}
	}
	return out
}

// entityOf is an entity, with nothing but its name where nobody knows it.
func entityOf(all types.EntityGetter, uid types.EntityUID) types.Entity {
	if e, ok := all.Get(uid); ok {
		return e
	}
	return types.Entity{UID: uid}
}
