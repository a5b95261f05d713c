package workflow_test

import (
	"testing"

	"github.com/layersmith/layersmith/internal/memport"
	"github.com/layersmith/layersmith/internal/workflow"
)

// account is an account in memory whose changes by other people cannot fail.
type account struct{ *memport.Account }

func (a account) AddFunction(t *testing.T, f memport.NewFunction) {
	t.Helper()
	if err := a.Account.AddFunction(f); err != nil {
		t.Fatal(err)
	}
}

func (a account) AddAlias(t *testing.T, function string, alias workflow.Alias) {
	t.Helper()
	if err := a.Account.AddAlias(function, alias); err != nil {
		t.Fatal(err)
	}
}

func (a account) SetCode(t *testing.T, function string, zip []byte) {
	t.Helper()
	if err := a.Account.SetCode(function, zip); err != nil {
		t.Fatal(err)
	}
}

func (a account) SetMemory(t *testing.T, function string, mib int) {
	t.Helper()
	if err := a.Account.SetMemory(function, mib); err != nil {
		t.Fatal(err)
	}
}
