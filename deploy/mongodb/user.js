// Runs once, when the database is made: the user of the services, who may use their databases and no other.
db.getSiblingDB('admin').createUser({
  user: 'tiffin',
  pwd: require('fs').readFileSync('/run/secrets/mongodb-password', 'utf8').trim(),
  roles: ['order', 'payment', 'delivery', 'kitchen', 'customer'].map((service) => ({ role: 'readWrite', db: `tiffin_${service}` })),
});
