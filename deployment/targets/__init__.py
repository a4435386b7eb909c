"""Write a tree for other runtimes: Triton's model repository, plain torch source, a torch.export archive."""
