package gateway

// The types that the gateway knows by their numbers (pg_type.dat).
const (
	typeName      = 19
	typeInt8      = 20
	typeInt2      = 21
	typeInt4      = 23
	typeText      = 25
	typeOID       = 26
	typeJSON      = 114
	typeXML       = 142
	typeUnknown   = 705
	typeTextArray = 1009
	typeBpchar    = 1042
	typeVarchar   = 1043
	typeDate      = 1082
	typeUUID      = 2950
	typeJSONB     = 3802
)

// plainTypes are those in whose text form no token can stand: numbers, truth values, times, bytea and the like.
var plainTypes = map[uint32]bool{ //nolint:gochecknoglobals // a constant table
	16: true, 17: true, typeInt8: true, typeInt2: true, typeInt4: true, 26: true, 27: true, 28: true, 700: true, 701: true, 790: true,
	1083: true, 1114: true, 1184: true, 1186: true, 1266: true, 1700: true, 2950: true,
}

// textType tells whether values of a type are the same bytes in both formats, and any text is one.
func textType(oid uint32) bool {
	switch oid {
	case typeName, typeText, typeUnknown, typeBpchar, typeVarchar:
		return true
	}
	return false
}
