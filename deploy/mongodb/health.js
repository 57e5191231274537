// The health check: says whether this server takes writes, and makes it a replica set of one the first time.
const admin = db.getSiblingDB('admin');
admin.auth('root', require('fs').readFileSync('/run/secrets/mongodb-root-password', 'utf8').trim());
try {
  rs.status();
} catch (e) {
  if (e.codeName !== 'NotYetInitialized') throw e;
  rs.initiate({ _id: 'rs0', members: [{ _id: 0, host: 'mongodb:27017' }] });
}
quit(admin.hello().isWritablePrimary ? 0 : 1);
