package serve

// corpus is the part of the permanent corpus that takes more than SQL: the protocol's messages, names between it and SQL, what a DBA did around
// the gateway. Rows are only ever added. Tricks of SQL alone stand in gateway/testdata/bypass.txt.
func corpus() []trick {
	var rows []trick
	for _, part := range [][]trick{names(), around(), wireTricks(), launderings()} {
		rows = append(rows, part...)
	}
	return rows
}
