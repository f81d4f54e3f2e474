package control

// The actions that change this state. Other proposals are only kept, for those who asked.
const (
	Unlock        = "unlock"         // lifts lock and suspension of the person it is about
	Undo          = "undo"           // Details says of which database protection is to be taken away, and of which columns; it is about nobody
	AcceptMark    = "accept_mark"    // Details says which mark in a database is to be accepted; it is about nobody
	RotateKey     = "rotate_key"     // Details is the join group that gets a new key
	DestroyKey    = "destroy_key"    // Details is the join group whose older key goes
	Second        = "second"         // a colleague agrees to what the proposer does; Details says what that is
	Trust         = "trust"          // Details is how far the person it is about is trusted from now on
	Erase         = "erase"          // Erased lists entries of the record whose salts and bodies go; it is about nobody
	Shred         = "shred"          // Details is the customer whose values become unreadable; it is about nobody of the staff
	Invite        = "invite"         // the person it is about may set a password of his own, with a code of which two people have a half each
	APIToken      = "api_token"      // a program may log in as the person or service it is about, with a code of which two people have a half each; Token says for what
	Files         = "files"          // Details is the SHA-256 of the configuration and policies that hold from then on
	UndoResponse  = "undo_response"  // Details is the finding or the response to one that is taken back from the person it is about
	Respond       = "respond"        // Details says whether Sallyport acts on findings from then on: act or observe
	NotifyList    = "notify_list"    // the two who agree see all customers whom the person it is about was shown; Details says since when, empty: since the estimated start
	Empower       = "empower"        // Details is the place with power, role@team, that the person it is about has from Delay after the approval on
	ForgetGateway = "forget_gateway" // Details is the gateway of which what it was lent counts as spent
)
