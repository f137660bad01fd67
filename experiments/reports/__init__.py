"""What people look at: report pages, pictures, TensorBoard."""
