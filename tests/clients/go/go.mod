module sluice.test/clients/go

go 1.23
