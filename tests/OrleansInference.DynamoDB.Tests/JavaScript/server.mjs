// A DynamoDB on a free port of loopback. Prints the port; ends when its standard input does.
import dynalite from 'dynalite'

const server = dynalite({ createTableMs: 20, updateTableMs: 20, deleteTableMs: 20 })
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
