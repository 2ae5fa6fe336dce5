#!/bin/sh
# Make databases, message user and tables, then start all services; run once, in a booted node.
set -eu
systemctl start mariadb rabbitmq-server
for name in keystone glance placement nova nova_api nova_cell0 neutron cinder; do
  echo "CREATE DATABASE $$name; GRANT ALL ON $$name.* TO 'openstack'@'127.0.0.1' IDENTIFIED BY '$password';"
done | mysql
rabbitmqctl --quiet add_user openstack '$password'
rabbitmqctl --quiet set_permissions openstack '.*' '.*' '.*'

compute() {
  nova-manage api_db sync
  nova-manage cell_v2 map_cell0 --database_connection '$database/nova_cell0?charset=utf8'
  nova-manage db sync
  nova-manage cell_v2 create_cell --name cell1
}
network() {
  neutron-db-manage --config-file /etc/neutron/neutron.conf \
    --config-file /etc/neutron/plugins/ml2/ml2_conf.ini upgrade heads
}
( compute ) & compute=$$!
( network ) & network=$$!
keystone-manage db_sync
keystone-manage fernet_setup --keystone-user keystone --keystone-group keystone
keystone-manage credential_setup --keystone-user keystone --keystone-group keystone
keystone-manage bootstrap --bootstrap-password '$password' --bootstrap-region-id RegionOne \
  --bootstrap-public-url http://$address:5000/v3 --bootstrap-internal-url http://$address:5000/v3 \
  --bootstrap-admin-url http://$address:5000/v3
placement-manage db sync
glance-manage db_sync
cinder-manage db sync
wait $$compute
wait $$network
for service in keystone placement glance nova neutron cinder; do
  chown -R $$service:$$service /var/log/$$service /var/lib/$$service
done
systemctl enable --now keystone
