"""How a host is changed: Ansible and pyinfra behind one small interface."""
