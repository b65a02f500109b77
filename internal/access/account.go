package access

import (
	"context"
	"errors"
	"regexp"
	"time"
)

// Errors that callers tell apart.
var (
	ErrNone      = errors.New("there is none")
	ErrTaken     = errors.New("there is one already")
	ErrMoved     = errors.New("it was changed meanwhile")
	ErrLastAdmin = errors.New("nobody would be left who is admin everywhere")
	ErrDenied    = errors.New("not signed in")               // or no longer
	ErrForbidden = errors.New("your role does not allow it") // who asks is known
	ErrWrong     = errors.New("the name or the password is wrong")
	ErrWeak      = errors.New("the password is too weak")
	ErrLink      = errors.New("this link is not valid: it was used, has expired, or is not one of ours")
	ErrInvalid   = errors.New("not accepted") // the message says what and why
)

// Account is somebody who may sign in.
type Account struct {
	Name       string          `json:"name"` // the person's name in the configuration, where there is one
	Everywhere Role            `json:"everywhere,omitempty"`
	Teams      map[string]Role `json:"teams,omitempty"`
	Disabled   bool            `json:"disabled,omitempty"`
	Provider   bool            `json:"provider,omitempty"` // signs in through the identity provider
	Made       time.Time       `json:"made"`
	Changed    time.Time       `json:"changed"`

	Password string `json:"-"`                  // argon2id hash with its parameters; empty for none
	Identity string `json:"identity,omitempty"` // issuer and subject at the provider; empty before the first sign-in there
	Rev      int64  `json:"-"`                  // grows with each change; 0 for one that is not kept yet
}

// Pass lets in whoever holds its secret. The secret itself is kept nowhere.
type Pass struct {
	ID      string    `json:"id"`
	Kind    Kind      `json:"kind"`
	Account string    `json:"account"` // empty for the link of the first set-up
	Name    string    `json:"name"`    // a token's; a session's browser
	Limit   Role      `json:"limit,omitempty"`
	Teams   []string  `json:"teams,omitempty"` // a token is good for these alone; none for all
	By      string    `json:"by"`              // who made it
	Made    time.Time `json:"made"`
	Until   time.Time `json:"until"`
	Used    time.Time `json:"used,omitzero"` // last
	From    string    `json:"from,omitempty"`

	Hash string `json:"-"` // SHA-256 of the secret, hexadecimal
}

// Event is an act as it is journalled.
type Event struct {
	At      time.Time
	Actor   string
	Subject string
	Kind    string
	Body    any
}

// Which passes are meant: all that have each field that is not empty.
type Which struct {
	ID      string
	Kind    Kind
	Account string
	Except  string    // not the one of this ID
	Over    time.Time // only those whose time is over then
}

// Store keeps accounts and passes. When a method that writes returns nil, what
// it wrote is durable, and its events are in the journal in the same transaction.
// Times are kept to the microsecond. Safe for concurrent use, also by several
// processes.
type Store interface {
	// Accounts lists all, by name.
	Accounts(ctx context.Context) ([]Account, error)
	// Account finds one by its name, AccountOf by its identity; ErrNone.
	Account(ctx context.Context, name string) (Account, error)
	AccountOf(ctx context.Context, identity string) (Account, error)
	// PutAccount keeps an account, with Rev 0 a new one: ErrTaken when its name or
	// identity is. Else it replaces the one of that name, if that still has this Rev:
	// ErrMoved. ErrLastAdmin when there was an account that is enabled and admin
	// everywhere, and none would be left. It returns what was kept, with its new Rev.
	PutAccount(ctx context.Context, a Account, all ...Event) (Account, error)
	// PutPass keeps a new pass; ErrTaken when its ID or hash is.
	PutPass(ctx context.Context, p Pass, all ...Event) error
	// Pass finds one by its hash; ErrNone.
	Pass(ctx context.Context, hash string) (Pass, error)
	// Passes lists those meant, newest first.
	Passes(ctx context.Context, w Which) ([]Pass, error)
	// UsePass notes when and from where a pass was used last; none is no error.
	UsePass(ctx context.Context, id string, at time.Time, from string) error
	// EndPasses removes those meant and returns how many there were. Of two that
	// remove the same one, one is told of it. Events are journalled when there was
	// one. A Which that means all is ErrInvalid.
	EndPasses(ctx context.Context, w Which, all ...Event) (int, error)
	// Note journals events alone.
	Note(ctx context.Context, all ...Event) error
}

var accountName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// ValidName reports whether an account may have a name: lower-case letters,
// digits and inner hyphens, as people in the configuration.
func ValidName(name string) bool { return accountName.MatchString(name) && name != reserved }

// reserved is what the journal calls Refloat itself.
const reserved = "server"
