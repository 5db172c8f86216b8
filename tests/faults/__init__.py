"""What happens when files are damaged, disks full, and processes killed."""
