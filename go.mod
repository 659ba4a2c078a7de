module github.com/enrollgate/enrollgate

go 1.26
